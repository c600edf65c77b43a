//! `/api/v1/format_query` and `/api/v1/parse_query`: an expression laid out, and its tree
//! (`web/api/v1/translate_ast.go`).

use crate::Api;
use crate::params::Params;
use crate::respond::{ApiError, parse_error, push_text, success};
use axum::extract::State;
use axum::response::Response;
use leadline_model::Matcher;
use leadline_model::number::push_plain;
use leadline_model::port::Shape;
use leadline_model::quote::replaced;
use leadline_promql::check::{shape, short, signature};
use leadline_promql::query::Query;
use leadline_promql::syntax::ast::{
    Aggregate, At, Binary, Border, Call, DurationExpr, DurationKind, Expr, ExprKind, Group, Selector, Subquery,
};
use serde_json::{Map, Value, json};

/// The expression over as many lines as it takes.
pub(crate) async fn format(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let query = query(&api, &params)?;
    let expr = query.expr();
    let mut data = String::new();
    push_text(&mut data, &expr.pretty());
    Ok(success(data, &[], &[]))
}

/// The expression's tree.
pub(crate) async fn parse(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let tree = node(query(&api, &params)?.expr()).to_string();
    // What means something in HTML is escaped, as Go does; outside of texts it cannot occur.
    let mut data = String::with_capacity(tree.len());
    for c in tree.chars() {
        match c {
            '<' => data.push_str("\\u003c"),
            '>' => data.push_str("\\u003e"),
            '&' => data.push_str("\\u0026"),
            c => data.push(c),
        }
    }
    Ok(success(data, &[], &[]))
}

fn query(api: &Api, params: &Params) -> Result<Query, ApiError> {
    let text = params.query();
    let query = Query::parse_with(text, api.engine.settings().features);
    query.map_err(|e| ApiError::parameter("query", parse_error(text, &e)))
}

fn plain(v: f64) -> String {
    let mut text = String::new();
    push_plain(&mut text, v);
    text
}

/// Without the `.0` that whole numbers would get.
fn number(v: f64) -> Value {
    if v.fract() == 0.0 && v.abs() < 1e15 {
        json!(v as i64)
    } else {
        json!(v)
    }
}

fn node(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(v) | ExprKind::Duration(v) => json!({ "type": "numberLiteral", "val": plain(*v) }),
        ExprKind::String(text) => json!({ "type": "stringLiteral", "val": text }),
        ExprKind::Bytes(text) => json!({ "type": "stringLiteral", "val": replaced(text) }),
        ExprKind::Paren(inner) => json!({ "type": "parenExpr", "expr": node(inner) }),
        ExprKind::Unary { negate, expr } => {
            json!({ "type": "unaryExpr", "op": if *negate { "-" } else { "+" }, "expr": node(expr) })
        }
        ExprKind::Selector(selector) => Value::Object(selected("vectorSelector", selector)),
        ExprKind::Matrix {
            selector,
            range_ms,
            computed,
        } => {
            let mut fields = selected("matrixSelector", selector);
            fields.insert("range".to_owned(), json!(range_ms));
            fields.insert("rangeExpr".to_owned(), window_length(computed.as_deref()));
            Value::Object(fields)
        }
        ExprKind::Subquery(inner) => subquery(inner),
        ExprKind::Binary(binary) => operation(binary),
        ExprKind::Aggregate(aggregate) => aggregation(aggregate),
        ExprKind::Call(inner) => call(inner),
    }
}

fn selected(kind: &str, selector: &Selector) -> Map<String, Value> {
    let is_name = |m: &&Matcher| selector.name.is_some() && m.name() == "__name__";
    let matcher = |m: &Matcher| {
        let (name, op, value) = m.written();
        json!({ "name": replaced(name), "value": replaced(value), "type": op.as_str() })
    };
    // The name in front of the braces is the last one.
    let (names, others): (Vec<&Matcher>, Vec<&Matcher>) = selector.matchers.iter().partition(is_name);
    let matchers: Vec<Value> = others.into_iter().chain(names).map(matcher).collect();
    let (timestamp, start_or_end) = at(selector.shift.at);
    let mut fields = Map::new();
    let mut insert = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    insert("type", json!(kind));
    insert("name", json!(selector.name.as_deref().unwrap_or("")));
    insert("matchers", json!(matchers));
    insert("offset", json!(selector.shift.offset_ms));
    insert("offsetExpr", length(selector.computed_offset.as_deref()));
    insert("timestamp", timestamp);
    insert("startOrEnd", start_or_end);
    insert("anchored", json!(selector.border == Border::Anchored));
    insert("smoothed", json!(selector.border == Border::Smoothed));
    fields
}

/// `timestamp` and `startOrEnd`.
fn at(at: Option<At>) -> (Value, Value) {
    match at {
        None => (Value::Null, Value::Null),
        Some(At::Time(ms)) => (json!(ms), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
    }
}

fn subquery(subquery: &Subquery) -> Value {
    let (timestamp, start_or_end) = at(subquery.shift.at);
    let computed = &subquery.computed;
    json!({
        "type": "subquery",
        "expr": node(&subquery.expr),
        "range": subquery.range_ms,
        "rangeExpr": window_length(computed.range.as_deref()),
        "offset": subquery.shift.offset_ms,
        "offsetExpr": length(computed.offset.as_deref()),
        "step": subquery.step_ms.unwrap_or(0),
        "stepExpr": length(computed.step.as_deref()),
        "timestamp": timestamp,
        "startOrEnd": start_or_end,
    })
}

fn operation(binary: &Binary) -> Value {
    let vectors = [&binary.left, &binary.right]
        .into_iter()
        .all(|side| shape(side) == Shape::Vector);
    let matching = &binary.matching;
    let card = match matching.group {
        _ if binary.op.is_set() => "many-to-many",
        Group::None => "one-to-one",
        Group::Left => "many-to-one",
        Group::Right => "one-to-many",
    };
    let matching = vectors.then(|| {
        json!({
            "card": card,
            "labels": matching.labels,
            "on": matching.on,
            "include": matching.include,
            "fillValues": { "lhs": matching.fill.left.map(number), "rhs": matching.fill.right.map(number) },
        })
    });
    json!({
        "type": "binaryExpr",
        "op": binary.op.as_str(),
        "lhs": node(&binary.left),
        "rhs": node(&binary.right),
        "matching": matching,
        "bool": binary.return_bool,
    })
}

fn aggregation(aggregate: &Aggregate) -> Value {
    json!({
        "type": "aggregation",
        "op": aggregate.op.as_str(),
        "expr": node(&aggregate.expr),
        "param": aggregate.param.as_ref().map(node),
        "grouping": aggregate.labels,
        "without": aggregate.without,
    })
}

fn call(call: &Call) -> Value {
    let name = |shape: &Shape| short(*shape);
    let known = signature(&call.function);
    json!({
        "type": "call",
        "func": {
            "name": call.function,
            "argTypes": known.map_or_else(Vec::new, |f| f.args.iter().map(name).collect()),
            "variadic": known.map_or(0, |f| f.variadic),
            "returnType": known.map_or("none", |f| name(&f.returns)),
        },
        "args": call.args.iter().map(node).collect::<Vec<_>>(),
    })
}

fn length(expr: Option<&DurationExpr>) -> Value {
    expr.map_or(Value::Null, |expr| duration(expr, false))
}

/// The length of a window where it is computed: one that is written as a number, for it is below 1 ms, is not.
fn window_length(expr: Option<&DurationExpr>) -> Value {
    let is_number = |expr: &&DurationExpr| matches!(expr.kind, DurationKind::Number(_) | DurationKind::Duration(_));
    length(expr.filter(|expr| !is_number(expr)))
}

/// A computed length of time; `wrapped` in parentheses or not.
fn duration(expr: &DurationExpr, wrapped: bool) -> Value {
    let literal =
        |v: f64, is_duration: bool| json!({ "type": "numberLiteral", "val": plain(v), "duration": is_duration });
    let of = |op: &str, lhs: Option<&DurationExpr>, rhs: Value| json!({ "type": "durationExpr", "op": op, "lhs": length(lhs), "rhs": rhs, "wrapped": wrapped });
    match &expr.kind {
        // A number in parentheses is one with a sign that changes nothing.
        DurationKind::Number(v) if wrapped => of("+", None, literal(*v, false)),
        DurationKind::Duration(v) if wrapped => of("+", None, literal(*v, true)),
        DurationKind::Number(v) => literal(*v, false),
        DurationKind::Duration(v) => literal(*v, true),
        DurationKind::Step => of("step", None, Value::Null),
        DurationKind::Range => of("range", None, Value::Null),
        DurationKind::Group(inner) => duration(inner, true),
        DurationKind::Negate(inner) => of("-", None, duration(inner, false)),
        DurationKind::MinOf(a, b) => of("min_of", Some(a), duration(b, false)),
        DurationKind::MaxOf(a, b) => of("max_of", Some(a), duration(b, false)),
        DurationKind::Binary(op, a, b) => of(op.as_str(), Some(a), duration(b, false)),
    }
}
