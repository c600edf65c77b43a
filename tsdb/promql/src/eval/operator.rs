//! What the binary operators do to two numbers.

use crate::syntax::ast::BinaryOp;
use leadline_model::elementary;

/// The result of an arithmetic operator; 0 or 1 of a comparison.
#[inline]
pub(crate) fn apply(op: BinaryOp, l: f64, r: f64) -> f64 {
    match op {
        BinaryOp::Add => l + r,
        BinaryOp::Sub => l - r,
        BinaryOp::Mul => l * r,
        BinaryOp::Div => l / r,
        BinaryOp::Mod => l % r,
        BinaryOp::Pow => elementary::pow(l, r),
        BinaryOp::Atan2 => elementary::atan2(l, r),
        _ => f64::from(u8::from(compare(op, l, r))),
    }
}

/// Whether a comparison holds.
#[inline]
pub(crate) fn compare(op: BinaryOp, l: f64, r: f64) -> bool {
    match op {
        BinaryOp::Eq => l == r,
        BinaryOp::Ne => l != r,
        BinaryOp::Lt => l < r,
        BinaryOp::Le => l <= r,
        BinaryOp::Gt => l > r,
        BinaryOp::Ge => l >= r,
        _ => false,
    }
}
