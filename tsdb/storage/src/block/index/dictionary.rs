//! From a text to its symbol while an index is written: the texts once, one after the other, and eight bytes each.

use hashbrown::HashTable;

/// Texts and their places in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    text: Vec<u8>,
    /// Where each text ends.
    ends: Vec<u32>,
    numbers: HashTable<u32>,
}

fn hash(text: &[u8]) -> u64 {
    rapidhash::v3::rapidhash_v3(text)
}

impl Dictionary {
    /// Enters a text that is above all others; false when it is not, or when there is no room.
    pub(super) fn push(&mut self, text: &str) -> bool {
        let number = self.ends.len();
        if number > 0 && self.bytes(number - 1) >= text.as_bytes() {
            return false;
        }
        let (Ok(number), Ok(end)) = (u32::try_from(number), u32::try_from(self.text.len() + text.len())) else {
            return false;
        };
        self.text.extend_from_slice(text.as_bytes());
        self.ends.push(end);
        let (texts, ends) = (&self.text, &self.ends);
        self.numbers
            .insert_unique(hash(text.as_bytes()), number, |&n| hash(slice(texts, ends, n as usize)));
        true
    }

    /// The symbol of a text.
    pub(super) fn number(&self, text: &str) -> Option<u32> {
        let found = self
            .numbers
            .find(hash(text.as_bytes()), |&n| self.bytes(n as usize) == text.as_bytes());
        found.copied()
    }

    /// The text of a symbol; empty for one that is not known.
    pub(super) fn bytes(&self, number: usize) -> &[u8] {
        slice(&self.text, &self.ends, number)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

fn slice<'a>(text: &'a [u8], ends: &[u32], number: usize) -> &'a [u8] {
    let start = number
        .checked_sub(1)
        .and_then(|n| ends.get(n))
        .map_or(0, |&end| end as usize);
    let end = ends.get(number).map_or(0, |&end| end as usize);
    text.get(start..end).unwrap_or_default()
}
