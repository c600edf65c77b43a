//! Why an expression is not registered.

use leadline_model::port::PrepareError;

/// Why an expression was not registered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegisterError {
    /// The expression is not valid.
    #[error(transparent)]
    Invalid(#[from] PrepareError),
    /// It evaluates to something that cannot be scaled on.
    #[error("the expression is a {0}; a scalar or an instant vector is needed")]
    Shape(&'static str),
    /// The cap is reached.
    #[error("{0} standing queries are registered already, the most that are allowed")]
    Full(usize),
}
