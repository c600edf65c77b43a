//! Function calls: the arguments and which implementation gets them.

use super::names::Reader;
use super::{Context, Frame, Grid, Out, Row, Scalar, Trace, evaluate as evaluate_node, evaluate_for, window};
use crate::error::Error;
use crate::functions::{self, Function, calendar};
use crate::syntax::ast::{Call, Expr, ExprKind, Span};
use leadline_model::Labels;
use leadline_model::quote::replaced;
use std::borrow::Cow;

/// A call and where it stands.
pub(crate) struct CallSite<'a> {
    /// The call.
    pub(crate) call: &'a Call,
    /// The whole call.
    pub(crate) span: Span,
}

impl<'a> CallSite<'a> {
    /// Number of arguments.
    pub(crate) fn count(&self) -> usize {
        self.call.args.len()
    }

    /// The i-th argument without parentheses.
    ///
    /// # Errors
    /// When there are fewer.
    pub(crate) fn arg(&self, i: usize) -> Result<&'a Expr, Error> {
        let missing = || Error::execution(format!("{}() lacks argument {}", self.call.function, i + 1));
        self.call.args.get(i).map(Expr::unwrapped).ok_or_else(missing)
    }

    /// The i-th argument's value, a vector.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn vector(&self, cx: &mut Context<'_>, i: usize, frame: Frame) -> Result<Grid, Error> {
        self.vector_for(cx, i, frame, Reader::Any)
    }

    /// As [`Self::vector`], for a function that looks at the values of each series by themselves and drops the names.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn blind_vector(&self, cx: &mut Context<'_>, i: usize, frame: Frame) -> Result<Grid, Error> {
        self.vector_for(cx, i, frame, Reader::Blind)
    }

    fn vector_for(&self, cx: &mut Context<'_>, i: usize, frame: Frame, reader: Reader) -> Result<Grid, Error> {
        match evaluate_for(cx, self.arg(i)?, frame, reader)? {
            Out::Vector(grid) => Ok(grid),
            Out::Scalar(_) | Out::String(_) => Err(self.mismatch(i, "an instant vector")),
        }
    }

    /// The i-th argument's value, a scalar.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn scalar(&self, cx: &mut Context<'_>, i: usize, frame: Frame) -> Result<Scalar, Error> {
        match evaluate_node(cx, self.arg(i)?, frame)? {
            Out::Scalar(scalar) => Ok(scalar),
            Out::Vector(_) | Out::String(_) => Err(self.mismatch(i, "a scalar")),
        }
    }

    /// The bytes of the i-th argument's text, which need not be UTF-8.
    ///
    /// # Errors
    /// When it is no string literal.
    pub(crate) fn bytes(&self, i: usize) -> Result<&'a [u8], Error> {
        match &self.arg(i)?.kind {
            ExprKind::String(text) => Ok(text.as_bytes()),
            ExprKind::Bytes(text) => Ok(text),
            _ => Err(self.mismatch(i, "a string")),
        }
    }

    /// The i-th argument's text as what is written into labels: these are UTF-8, so that U+FFFD stands for bytes that are
    /// not, as it does where Prometheus' answers are read.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub(crate) fn text(&self, i: usize) -> Result<Cow<'a, str>, Error> {
        self.bytes(i).map(replaced)
    }

    /// The i-th argument's text as the name of a label that is read. Empty, which names none, where no label can be called
    /// so.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub(crate) fn label(&self, i: usize) -> Result<&'a str, Error> {
        self.bytes(i).map(|name| std::str::from_utf8(name).unwrap_or_default())
    }

    fn mismatch(&self, i: usize, expected: &str) -> Error {
        Error::execution(format!(
            "argument {} of {}() must be {expected}",
            i + 1,
            self.call.function
        ))
    }
}

/// Evaluates a call at all times of `frame`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, call: &Call, span: Span, frame: Frame) -> Result<Out, Error> {
    let site = CallSite { call, span };
    match functions::lookup(&call.function)? {
        Function::Math(f) => {
            let mut grid = site.blind_vector(cx, 0, frame)?;
            grid.map(f);
            Ok(Out::Vector(grid))
        }
        Function::Window(f) => window::evaluate(cx, &site, f, frame).map(Out::Vector),
        Function::Date(part) => date(cx, &site, part, frame).map(Out::Vector),
        Function::Whole(f) => f(cx, &site, frame),
    }
}

/// `hour(v)`, and `hour()` of the evaluation time.
fn date(cx: &mut Context<'_>, site: &CallSite<'_>, part: calendar::DatePart, frame: Frame) -> Result<Grid, Error> {
    if site.count() > 0 {
        let mut grid = site.blind_vector(cx, 0, frame)?;
        grid.map(|x| calendar::part_of(part, x));
        return Ok(grid);
    }
    let mut grid = Grid::with_capacity(frame.steps, 1);
    let (cells, present) = grid.open();
    for (cell, t) in cells.iter_mut().zip(frame.times()) {
        // Whole seconds, cut towards zero, as Go divides.
        *cell = part(calendar::Civil::of(t / 1000));
    }
    present.fill(true);
    grid.keep(Row {
        labels: Labels::empty(),
        drop_name: false,
        trace: Trace::default(),
    });
    Ok(grid)
}
