//! Where and why a text was refused.

/// A place in the text and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, byte {column}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Byte within the line, from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Bytes from outside for a message: escaped and cut to a length a log line can bear.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let cut = &bytes[..bytes.len().min(MOST)];
    let dots = if bytes.len() > MOST { "..." } else { "" };
    format!("\"{}{dots}\"", cut.escape_ascii())
}
