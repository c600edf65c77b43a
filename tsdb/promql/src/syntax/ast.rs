//! The tree of an expression. Every node knows where in the text it stands.

use leadline_model::{Matcher, Timestamp};

/// A range of bytes of the text: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `Inf`.
    Number(f64),
    /// `5m`: a duration where a number is expected, in seconds; printed as it was written.
    Duration(f64),
    /// `"text"`.
    String(String),
    /// `"\xff"`: a text that is no UTF-8. It names nothing and is only shown.
    Bytes(Vec<u8>),
    /// `m{a="b"}`: the newest sample within the lookback.
    Selector(Selector),
    /// `m[5m]`: the samples of a window.
    Matrix {
        /// What is selected, with its offset and `@`.
        selector: Selector,
        /// Length of the window, ms, > 0; 0 where `computed` says it and is not resolved yet.
        range_ms: i64,
        /// The length where it is computed: `[step() * 2]`.
        computed: Option<Box<DurationExpr>>,
    },
    /// `expr[1h:1m]`: an expression evaluated at aligned steps of a window.
    Subquery(Box<Subquery>),
    /// `(expr)`.
    Paren(Box<Expr>),
    /// `-expr` and `+expr`.
    Unary {
        /// Whether the sign turns.
        negate: bool,
        /// The operand.
        expr: Box<Expr>,
    },
    /// `a + on(x) b`.
    Binary(Box<Binary>),
    /// `sum by (x) (expr)`.
    Aggregate(Box<Aggregate>),
    /// `rate(m[5m])`.
    Call(Call),
}

/// `offset` and `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// `offset`, ms; negative looks into the future.
    pub offset_ms: i64,
    /// `@`.
    pub at: Option<At>,
}

/// What `@` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A fixed time, ms.
    Time(Timestamp),
    /// The start of the query's range.
    Start,
    /// The end of the query's range.
    End,
}

/// A set of series.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// All conditions; the metric name before the braces is the matcher `__name__ = name` in first place.
    pub matchers: Vec<Matcher>,
    /// The metric name where it stood before the braces (for printing).
    pub name: Option<String>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// The offset where it is computed: `offset (step() * 2)`; `shift` has 0 until it is resolved.
    pub computed_offset: Option<Box<DurationExpr>>,
    /// `anchored` and `smoothed`.
    pub border: Border,
    /// Whether names are printed without quotes as far as `promql-unquoted-utf8-names`, which it was read with, reads them.
    pub unquoted_names: bool,
}

/// Which values a selector sees at the borders of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Border {
    /// Only the samples within.
    #[default]
    Open,
    /// `anchored`: the newest sample before the window stands at its start.
    Anchored,
    /// `smoothed`: values at the borders are interpolated from the samples on either side.
    Smoothed,
}

/// `expr[range:step]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// Length of the window, ms, > 0; 0 where `computed` says it and is not resolved yet.
    pub range_ms: i64,
    /// Distance of the steps, ms; `None` is the engine's default.
    pub step_ms: Option<i64>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// The parts that are computed.
    pub computed: ComputedParts,
}

/// The parts of a subquery that are written as duration expressions; the numbers beside them hold 0 (`None` for the
/// step) until they are resolved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComputedParts {
    /// Of the window's length.
    pub range: Option<Box<DurationExpr>>,
    /// Of the step.
    pub step: Option<Box<DurationExpr>>,
    /// Of the offset.
    pub offset: Option<Box<DurationExpr>>,
}

/// A length of time that depends on the query, or is written as arithmetic: `step() * 2`, `1h / 4`. In seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of duration expression.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// `300`.
    Number(f64),
    /// `5m`, in seconds.
    Duration(f64),
    /// `step()`: distance of the query's evaluations, 0 of an instant query.
    Step,
    /// `range()`: the query's end less its start, 0 of an instant query.
    Range,
    /// `(a)`.
    Group(Box<DurationExpr>),
    /// `-a`.
    Negate(Box<DurationExpr>),
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `a + b` and the other arithmetic operators.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// A binary operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// `bool`: comparisons answer 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How vectors are matched.
    pub matching: Matching,
}

/// The binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its sign in PromQL's reference")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    TrimUpper,
    TrimLower,
    And,
    Or,
    Unless,
}

/// How the series of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    /// `on(...)` rather than `ignoring(...)` (or nothing).
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `group_left` and `group_right`.
    pub group: Group,
    /// The labels of `group_left(...)` or `group_right(...)`.
    pub include: Vec<String>,
    /// `fill` and its like.
    pub fill: Fill,
    /// As [`Selector::unquoted_names`].
    pub unquoted_names: bool,
}

/// What stands in for a series that is missing on one side of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fill {
    /// `fill_left(x)`: the value of missing series of the left operand.
    pub left: Option<f64>,
    /// `fill_right(x)`: the value of missing series of the right operand.
    pub right: Option<f64>,
}

/// Which side may have many series per match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Group {
    /// One to one (set operators: many to many).
    #[default]
    None,
    /// `group_left`: the left side has many.
    Left,
    /// `group_right`: the right side has many.
    Right,
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// `without` rather than `by` (or nothing, which is `by ()`).
    pub without: bool,
    /// The labels of `by` or `without`.
    pub labels: Vec<String>,
    /// The parameter of topk, bottomk, quantile, count_values, limitk, limit_ratio.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// As [`Selector::unquoted_names`].
    pub unquoted_names: bool,
}

/// The aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its word in PromQL's reference")]
pub enum AggregateOp {
    Sum,
    Min,
    Max,
    Avg,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's name as PromQL spells it.
    pub function: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The arguments.
    pub args: Vec<Expr>,
    /// Matchers that [`super::inject`] keeps the info series of `info()` to. They choose no data labels, unlike those
    /// of the second argument.
    pub injected: Vec<Matcher>,
}
