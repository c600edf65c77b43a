//! Trees without the places of their nodes.

use leadline_promql::syntax::ast::Expr;

/// The tree as text, without the spans and with the matchers in one order.
pub(crate) fn tree(mut expr: Expr) -> String {
    expr.for_each_selector_mut(&mut |selector| selector.matchers.sort_by_key(ToString::to_string));
    let text = format!("{expr:?}");
    let mut parts = text.split("Span {");
    let head = parts.next().unwrap_or("").to_owned();
    parts.fold(head, |out, part| {
        out + part.split_once('}').map_or(part, |(_, rest)| rest)
    })
}
