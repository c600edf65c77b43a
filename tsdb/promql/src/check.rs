//! Whether a tree makes sense: types, numbers of arguments, operators and operands that fit. And what a plan must know
//! about it: which selectors it reads, and whether time alone moves its value.

mod reach;
mod signature;

pub use reach::{Motion, motion, plan_selectors};
pub use signature::{Signature, signature, signatures};

use crate::diagnostic::ParseError;
use crate::syntax::ast::{Aggregate, AggregateOp, Binary, Call, Expr, ExprKind, Group, Selector, Span};
use crate::syntax::{Features, parse_syntax};
use leadline_model::Matcher;
use leadline_model::labels::NAME;
use leadline_model::port::Shape;
use leadline_model::quote::{Quoted, QuotedBytes};
use std::fmt;

/// Parses `text` and checks its types: what Prometheus' own parser accepts.
///
/// # Errors
/// The first mistake and its place.
pub fn parse_checked(text: &str) -> Result<(Expr, Shape), ParseError> {
    parse_checked_with(text, Features::LANGUAGE)
}

/// The same with other features.
///
/// # Errors
/// As [`parse_checked`], and what of the language is not enabled.
pub fn parse_checked_with(text: &str, features: Features) -> Result<(Expr, Shape), ParseError> {
    let expr = parse_syntax(text, features)?;
    let shape = check(text, &expr)?;
    Ok((expr, shape))
}

/// The type of an expression, by its outermost node alone.
#[must_use]
pub fn shape(expr: &Expr) -> Shape {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) => Shape::Scalar,
        ExprKind::String(_) | ExprKind::Bytes(_) => Shape::String,
        ExprKind::Selector(_) | ExprKind::Aggregate(_) => Shape::Vector,
        ExprKind::Matrix { .. } | ExprKind::Subquery(_) => Shape::Matrix,
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => shape(inner),
        ExprKind::Binary(binary) => match (shape(&binary.left), shape(&binary.right)) {
            (Shape::Scalar, Shape::Scalar) => Shape::Scalar,
            _ => Shape::Vector,
        },
        ExprKind::Call(call) => signature(&call.function).map_or(Shape::Vector, |s| s.returns),
    }
}

/// Checks the types of a whole tree that was parsed from `text` (which gives errors their places).
///
/// Operands come before what is around them, but for the number of a call's arguments, as in upstream's
/// `promql/parser/parse.go`, `checkAST`: which of several mistakes is told follows from that.
///
/// # Errors
/// The first mistake, in Prometheus' words, and its place.
pub fn check(text: &str, expr: &Expr) -> Result<Shape, ParseError> {
    let checker = Checker { text };
    match &expr.kind {
        ExprKind::Aggregate(aggregate) => checker.aggregate(aggregate)?,
        ExprKind::Binary(binary) => {
            check(text, &binary.left)?;
            check(text, &binary.right)?;
            checker.binary(expr.span, binary)?;
        }
        ExprKind::Call(call) => checker.call(expr.span, call)?,
        ExprKind::Unary { expr: operand, .. } => checker.unary(expr.span, operand)?,
        ExprKind::Subquery(subquery) => {
            let inner = check(text, &subquery.expr)?;
            if inner != Shape::Vector {
                let message = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    short(inner)
                );
                return Err(checker.error(expr.span, message));
            }
        }
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => checker.selector(expr.span, selector)?,
        ExprKind::Paren(inner) => {
            check(text, inner)?;
        }
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) | ExprKind::Bytes(_) => {}
    }
    Ok(shape(expr))
}

/// Checks the selectors of a tree alone, whatever its types.
///
/// # Errors
/// The first that selects everything or names its metric twice.
pub(crate) fn selectors(text: &str, expr: &Expr) -> Result<(), ParseError> {
    if let ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } = &expr.kind {
        return Checker { text }.selector(expr.span, selector);
    }
    let chooses_labels = matches!(&expr.kind, ExprKind::Call(call) if call.function == "info");
    let children = expr.children().enumerate();
    let mut checked = children.filter(|(i, child)| !(chooses_labels && is_label_choice(*i, child)));
    checked.try_for_each(|(_, child)| selectors(text, child))
}

/// Whether an argument of `info()` chooses labels, and so may choose all.
fn is_label_choice(place: usize, argument: &Expr) -> bool {
    place == 1 && matches!(argument.kind, ExprKind::Selector(_))
}

/// What Prometheus' documents call a type.
#[must_use]
pub fn describe(shape: Shape) -> &'static str {
    match shape {
        Shape::Scalar => "scalar",
        Shape::Vector => "instant vector",
        Shape::Matrix => "range vector",
        Shape::String => "string",
    }
}

/// What Prometheus' HTTP API (`resultType`) and a few of its errors call a type.
#[must_use]
pub fn short(shape: Shape) -> &'static str {
    match shape {
        Shape::Scalar => "scalar",
        Shape::Vector => "vector",
        Shape::Matrix => "matrix",
        Shape::String => "string",
    }
}

struct Checker<'a> {
    text: &'a str,
}

type Checked = Result<(), ParseError>;

impl Checker<'_> {
    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    fn selector(&self, span: Span, selector: &Selector) -> Checked {
        // A name in front of the braces is the first matcher.
        if self.text.as_bytes().get(span.start as usize) != Some(&b'{') {
            let mut names = selector.matchers.iter().filter(|m| m.name() == NAME);
            let Some((name, second)) = names.next().zip(names.next()) else {
                return Ok(());
            };
            let (name, second) = (QuotedBytes(name.written().2), QuotedBytes(second.written().2));
            return Err(self.error(span, format!("metric name must not be set twice: {name} or {second}")));
        }
        if selector.matchers.iter().all(Matcher::matches_empty) {
            return Err(self.error(span, "vector selector must contain at least one non-empty matcher"));
        }
        Ok(())
    }

    /// Checks a tree that has to be of one type.
    fn expect(&self, expr: &Expr, wanted: Shape, context: impl fmt::Display) -> Checked {
        let found = check(self.text, expr)?;
        if found == wanted {
            return Ok(());
        }
        let message = format!(
            "expected type {} in {context}, got {}",
            describe(wanted),
            describe(found)
        );
        Err(self.error(expr.span, message).expecting(describe(wanted)))
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Checked {
        self.expect(&aggregate.expr, Shape::Vector, "aggregation expression")?;
        let Some(param) = &aggregate.param else {
            return Ok(());
        };
        let wanted = if aggregate.op == AggregateOp::CountValues {
            Shape::String
        } else {
            Shape::Scalar
        };
        self.expect(param, wanted, "aggregation parameter")
    }

    fn binary(&self, span: Span, binary: &Binary) -> Checked {
        let (left, right) = (shape(&binary.left), shape(&binary.right));
        let scalars = left == Shape::Scalar && right == Shape::Scalar;
        if binary.return_bool && !binary.op.is_comparison() {
            return Err(self.error(binary.op_span, "bool modifier can only be used on comparison operators"));
        }
        if binary.op.is_comparison() && !binary.return_bool && scalars {
            return Err(self.error(binary.op_span, "comparisons between scalars must use BOOL modifier"));
        }
        let matching = &binary.matching;
        if let Some(label) = matching
            .labels
            .iter()
            .find(|l| matching.on && matching.include.contains(l))
        {
            let message = format!("label {} must not occur in ON and GROUP clause at once", Quoted(label));
            return Err(self.error(binary.op_span, message));
        }
        for (operand, shape) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(shape, Shape::Scalar | Shape::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(self.error(operand.span, message));
            }
        }
        let fills = matching.fill.left.is_some() || matching.fill.right.is_some();
        if left != Shape::Vector || right != Shape::Vector {
            if !matching.labels.is_empty() {
                return Err(self.error(span, "vector matching only allowed between instant vectors"));
            }
            if fills {
                let message = "filling in missing series only allowed between instant vectors";
                return Err(self.error(span, message));
            }
            if binary.op.is_set() {
                let op = Quoted(binary.op.as_str());
                let message = format!("set operator {op} not allowed in binary scalar expression");
                return Err(self.error(span, message));
            }
        } else if binary.op.is_set() && matching.group != Group::None {
            let op = Quoted(binary.op.as_str());
            return Err(self.error(span, format!("no grouping allowed for {op} operation")));
        } else if binary.op.is_set() && fills {
            return Err(self.error(span, "filling in missing series not allowed for set operators"));
        }
        Ok(())
    }

    fn unary(&self, span: Span, operand: &Expr) -> Checked {
        let found = check(self.text, operand)?;
        if matches!(found, Shape::Scalar | Shape::Vector) {
            return Ok(());
        }
        let found = Quoted(describe(found));
        let message =
            format!("unary expression only allowed on expressions of type scalar or instant vector, got {found}");
        Err(self.error(span, message))
    }

    fn call(&self, span: Span, call: &Call) -> Checked {
        let name = Quoted(&call.function);
        let Some(signature) = signature(&call.function) else {
            return Err(self.error(call.name_span, format!("unknown function with name {name}")));
        };
        let (min, max, got) = (signature.min_args(), signature.max_args(), call.args.len());
        let bound = match max {
            Some(max) if max == min && got != min => Some(format!("{min}")),
            _ if got < min => Some(format!("at least {min}")),
            Some(max) if got > max => Some(format!("at most {max}")),
            _ => None,
        };
        if let Some(bound) = bound {
            let message = format!("expected {bound} argument(s) in call to {name}, got {got}");
            return Err(self.error(span, message));
        }
        if call.function == "info"
            && let Some(labels) = call.args.get(1)
        {
            self.info_labels(span, labels)?;
        }
        for (i, arg) in call.args.iter().enumerate() {
            if call.function == "info" && is_label_choice(i, arg) {
                continue;
            }
            if let Some(wanted) = signature.arg(i) {
                self.expect(arg, wanted, format_args!("call to function {name}"))?;
            }
        }
        Ok(())
    }

    /// The second argument of `info()` looks like a selector and chooses labels.
    fn info_labels(&self, call: Span, labels: &Expr) -> Checked {
        match &labels.kind {
            ExprKind::Selector(selector) if selector.name.is_none() => Ok(()),
            ExprKind::Selector(_) => {
                let message = "expected label selectors only, got vector selector instead";
                Err(self.error(labels.span, message))
            }
            _ if shape(labels) != Shape::Vector => {
                let found = describe(shape(labels));
                let message = format!("expected type instant vector in call to function \"info\", got {found}");
                Err(self.error(call, message))
            }
            _ => Err(self.error(labels.span, "expected label selectors only")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_from_the_tree() {
        for (text, expected) in [
            ("1 + 2", Shape::Scalar),
            ("time() > bool 3", Shape::Scalar),
            ("1 + foo", Shape::Vector),
            ("-foo", Shape::Vector),
            ("(foo[5m])", Shape::Matrix),
            ("rate(foo[5m])[1h:]", Shape::Matrix),
            ("scalar(foo)", Shape::Scalar),
            ("'x'", Shape::String),
            ("round(foo, 5m)", Shape::Vector),
            ("hour()", Shape::Vector),
            ("label_join(foo, 'a', '-')", Shape::Vector),
        ] {
            assert_eq!(parse_checked(text).unwrap().1, expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_in_prometheus_words_at_their_place() {
        for (text, expected) in [
            (
                "1 == 1",
                "1:3: parse error: comparisons between scalars must use BOOL modifier",
            ),
            (
                "1 and foo",
                "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
            ),
            (
                "1 +\n bool 1",
                "1:3: parse error: bool modifier can only be used on comparison operators",
            ),
            (
                "foo == on(bar) 10",
                "1:1: parse error: vector matching only allowed between instant vectors",
            ),
            (
                "foo[5m] + 1",
                "1:1: parse error: binary expression must contain only scalar and instant vector types",
            ),
            (
                "foo and on(a) group_left(b) bar",
                "1:1: parse error: no grouping allowed for \"and\" operation",
            ),
            (
                "a + on(x) group_left(x) b",
                "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once",
            ),
            (
                "-foo[5m]",
                "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, \
                 got \"range vector\"",
            ),
            (
                "rate(foo)",
                "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
            ),
            (
                "floor()",
                "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0",
            ),
            (
                "hour(a, b)",
                "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2",
            ),
            (
                "label_join(a)",
                "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1",
            ),
            (
                "sum(1)",
                "1:5: parse error: expected type instant vector in aggregation expression, got scalar",
            ),
            (
                "topk(a, b)",
                "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
            ),
            (
                "count_values(5, b)",
                "1:14: parse error: expected type string in aggregation parameter, got scalar",
            ),
            (
                "floor(-foo[5m], 'x')",
                "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 2",
            ),
            ("{})", "1:4: parse error: unexpected right parenthesis ')'"),
            ("nosuch({}", "1:10: parse error: unclosed left parenthesis"),
            ("nosuch({})", "1:1: parse error: unknown function with name \"nosuch\""),
            (
                "rate({}, foo)",
                "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2",
            ),
            (
                "abs({}) + 1 == 1",
                "1:5: parse error: vector selector must contain at least one non-empty matcher",
            ),
            (
                "label_join(a, , 1)",
                "1:13: parse error: trailing commas not allowed in function call args",
            ),
            (
                "a / on () group_left",
                "1:21: parse error: unexpected end of input in grouping opts, expected \"(\"",
            ),
            ("a offset -1e30", "1:10: parse error: duration out of range"),
            ("a offset 1e30", "1:10: parse error: duration out of range"),
            ("sum())", "1:7: parse error: unexpected right parenthesis ')'"),
            (
                "a{b=~\"*\"}",
                "1:3: parse error: error parsing regexp: missing argument to repetition operator: `*`",
            ),
            (
                "1e999",
                "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range",
            ),
            (
                "a[5m @ 1]",
                "1:6: parse error: unexpected <op:@> in subquery or range, expected \":\" or \"]\"",
            ),
            ("a[5m;", "1:5: parse error: unexpected character: ';'"),
            ("a[5m x", "1:6: parse error: unexpected character: 'x', expected ':'"),
            (
                "a[:",
                "1:4: parse error: unexpected colon before duration in duration expression",
            ),
            (
                "a[step():(:",
                "1:12: parse error: unexpected repeated colon in duration expression",
            ),
            ("a[5m:(:", "1:7: parse error: unexpected colon ':'"),
            (
                "a[;",
                "1:3: parse error: unexpected character in duration expression: ';'",
            ),
            (
                "a[step",
                "1:7: parse error: unexpected end of input in duration expression",
            ),
            (
                "a{!\u{b}}",
                "1:3: parse error: unexpected character after '!' inside braces: '\\v'",
            ),
            (
                "foo[5m][5m:]",
                "1:1: parse error: subquery is only allowed on instant vector, got matrix instead",
            ),
        ] {
            assert_eq!(parse_checked(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
