//! The entries of a record, one after another.

use crate::codec::{Cursor, Malformed};

/// Reads one entry; what it keeps is what entries are differences to.
pub trait Decode<'a> {
    /// The entry.
    type Entry;

    /// Reads the next entry; there is at least one byte.
    ///
    /// # Errors
    /// [`Malformed`], with offsets within the record.
    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<Self::Entry, Malformed>;
}

/// Iterates over the entries of a record. An error is the last item.
#[derive(Debug, Clone)]
pub struct Entries<'a, D> {
    cursor: Cursor<'a>,
    decode: D,
}

impl<'a, D> Entries<'a, D> {
    /// The entries from where the cursor stands to its end.
    #[must_use]
    pub fn new(cursor: Cursor<'a>, decode: D) -> Self {
        Self { cursor, decode }
    }
}

impl<'a, D: Decode<'a>> Iterator for Entries<'a, D> {
    type Item = Result<D::Entry, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let entry = self.decode.decode(&mut self.cursor);
        if entry.is_err() {
            self.cursor.take_rest();
        }
        Some(entry)
    }
}
