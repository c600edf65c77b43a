//! Text in double quotes as Go's `strconv.Quote` writes it, which is what PromQL reads back.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Bytes as a text in which U+FFFD stands for each one that is not UTF-8: how Go reads and Prometheus' answers show them.
#[must_use]
pub fn replaced(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

/// Displays a string in double quotes with Go's escapes: what Rust's `{:?}` writes (`\u{7f}`) no PromQL parser reads.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

/// The same of bytes that need not be UTF-8: those that are not become `\xff`.
#[derive(Debug, Clone, Copy)]
pub struct QuotedBytes<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        QuotedBytes(self.0.as_bytes()).fmt(f)
    }
}

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            write_escaped(f, chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

/// The text without its quotes.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\u{7}' => f.write_str("\\a")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{b}' => f.write_str("\\v")?,
            ' ' => f.write_char(' ')?,
            c if is_printable(c) => f.write_char(c)?,
            c if c.is_ascii() => write!(f, "\\x{:02x}", c as u32)?,
            c if (c as u32) < 0x1_0000 => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "\\U{:08x}", c as u32)?,
        }
    }
    Ok(())
}

/// Whether a terminal shows the character: neither control nor any space but the ASCII one, and assigned.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    // Rust escapes what it does not print; a combining mark is escaped there only because it would join the quote.
    !c.is_whitespace() && (c.is_alphanumeric() || !c.escape_debug().to_string().starts_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::{Quoted, QuotedBytes, replaced};

    #[test]
    fn text_is_quoted_as_go_does() {
        for (text, quoted) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\u{1}\u{7f}", r#""\x01\x7f""#),
            ("é☺", r#""é☺""#),
            ("\u{a0}\u{200b}", r#""\u00a0\u200b""#),
            ("\u{10ffff}", r#""\U0010ffff""#),
        ] {
            assert_eq!(Quoted(text).to_string(), quoted);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        assert_eq!(QuotedBytes(b"a\xc5z\xff\xc3\xa9").to_string(), r#""a\xc5z\xffé""#);
        // Each byte of a sequence that was cut off counts.
        assert_eq!(replaced(b"a\xe2\x82z\xff\xc3\xa9"), "a\u{fffd}\u{fffd}z\u{fffd}é");
    }
}
