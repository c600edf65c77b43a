//! Answers that are lists: their rows are written as the client takes them.

use crate::answer::PIECE;
use crate::respond::{END, SUCCESS, notes};

/// The whole body of an answer whose data is a list or an object of rows: an iterator over its pieces, each of which is written
/// when it is asked for. A row is never split.
pub(crate) struct Listed<I, W> {
    rows: I,
    /// Writes a row.
    write: W,
    /// Whether a row has been written.
    any: bool,
    /// What stands before the first row.
    head: String,
    /// What stands behind the last row; none once it is written.
    tail: Option<String>,
}

impl<I: Iterator, W: FnMut(&mut String, I::Item)> Listed<I, W> {
    /// A JSON array of what `write` makes of each row.
    pub(crate) fn array(rows: I, write: W, warnings: &[String]) -> Self {
        Self::within(["[", "]"], rows, write, warnings)
    }

    /// A JSON object of the members that `write` makes of each row.
    pub(crate) fn object(rows: I, write: W) -> Self {
        Self::within(["{", "}"], rows, write, &[])
    }

    fn within([open, close]: [&str; 2], rows: I, write: W, warnings: &[String]) -> Self {
        Self {
            rows,
            write,
            any: false,
            head: [SUCCESS, open].concat(),
            tail: Some([close, &notes(warnings, &[]), END].concat()),
        }
    }
}

impl<I: Iterator, W: FnMut(&mut String, I::Item)> Iterator for Listed<I, W> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.tail.as_ref()?;
        let mut piece = std::mem::take(&mut self.head);
        while piece.len() < PIECE {
            let Some(row) = self.rows.next() else {
                piece.extend(self.tail.take());
                break;
            };
            if std::mem::replace(&mut self.any, true) {
                piece.push(',');
            }
            (self.write)(&mut piece, row);
        }
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.tail {
            None => (0, Some(0)),
            Some(_) => (1, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_list_and_none_is_much_longer_than_one_has_to_be() {
        for rows in [0, 1, 2, 9_000, 50_000] {
            let write = |out: &mut String, i: usize| out.push_str(&format!("\"{i:08}\""));
            let pieces: Vec<String> = Listed::array(0..rows, write, &["cut".to_owned()]).collect();
            let (last, full) = pieces.split_last().unwrap();
            assert!(full.iter().all(|piece| (PIECE..PIECE + 11).contains(&piece.len())));
            assert!(last.len() < PIECE + 64, "{rows}");
            let read: serde_json::Value = serde_json::from_str(&pieces.concat()).unwrap();
            let list: Vec<String> = (0..rows).map(|i| format!("{i:08}")).collect();
            let whole = serde_json::json!({"status": "success", "data": list, "warnings": ["cut"]});
            assert_eq!(read, whole, "{rows}");
        }
        let member = |out: &mut String, i: usize| out.push_str(&format!("\"{i}\":{i}"));
        let object: String = Listed::object(0..2, member).collect();
        assert_eq!(object, r#"{"status":"success","data":{"0":0,"1":1}}"#);
    }
}
