//! JSON of label sets in which nothing has to be escaped, which are nearly all: each string is copied word by word and looked at
//! in the same go. An answer of few numbers is mostly labels, and to write them one call for each string is most of its time.

use leadline_model::Labels;

/// Bytes of the objects that are written here; longer ones are rare.
pub(crate) const ROOM: usize = 1_024;

/// What stands around a name and a value, `,"":""`, and what ends an object.
const AROUND: usize = 7;

/// The label set as a JSON object, written to `room`; `None` where something has to be escaped or there is not enough room.
pub(crate) fn object<'a>(labels: &Labels, room: &'a mut [u8; ROOM]) -> Option<&'a str> {
    let (mut at, mut marked) = (0, 0);
    for (name, value) in labels {
        if name.len() + value.len() + AROUND > ROOM - at {
            return None;
        }
        at = put(room, at, if at == 0 { *b"{\"" } else { *b",\"" });
        at = copy(room, at, name.as_bytes(), &mut marked);
        at = put(room, at, *b"\":\"");
        at = copy(room, at, value.as_bytes(), &mut marked);
        at = put(room, at, *b"\"");
    }
    if at == 0 {
        at = put(room, at, *b"{");
    }
    at = put(room, at, *b"}");
    match marked {
        0 => std::str::from_utf8(room.get(..at)?).ok(),
        _ => None,
    }
}

/// Writes bytes to a place where they fit; returns where they end.
#[inline]
fn put<const N: usize>(room: &mut [u8], at: usize, bytes: [u8; N]) -> usize {
    if let Some(into) = room.get_mut(at..).and_then(|room| room.first_chunk_mut()) {
        *into = bytes;
    }
    at + N
}

/// Copies a text to a place where it fits, adds its [`marks`] to `marked`, and returns where it ends.
#[inline]
fn copy(room: &mut [u8], at: usize, text: &[u8], marked: &mut u64) -> usize {
    let end = at + text.len();
    match *text {
        [] => {}
        [a] => {
            *marked |= marks(u64::from_le_bytes([a; 8]));
            put(room, at, [a]);
        }
        [a, b] => {
            *marked |= marks(u64::from_le_bytes([a, b, a, b, a, b, a, b]));
            put(room, at, [a, b]);
        }
        [a, b, c] => {
            *marked |= marks(u64::from_le_bytes([a, b, c, a, b, c, a, b]));
            put(room, at, [a, b, c]);
        }
        _ if text.len() >= 8 => {
            let (mut rest, mut to) = (text, at);
            while let Some((word, more)) = rest.split_first_chunk::<8>() {
                *marked |= marks(u64::from_le_bytes(*word));
                (rest, to) = (more, put(room, to, *word));
            }
            // The end overlaps what stands before it, so that nothing is copied byte by byte.
            if let Some(last) = text.last_chunk::<8>() {
                *marked |= marks(u64::from_le_bytes(*last));
                put(room, end - 8, *last);
            }
        }
        _ => {
            let first = text.first_chunk::<4>().copied().unwrap_or_default();
            let last = text.last_chunk::<4>().copied().unwrap_or_default();
            *marked |= marks(u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last)));
            put(room, at, first);
            put(room, end - 4, last);
        }
    }
    end
}

/// Whether there is a byte to be escaped: a control character, a quote or a backslash.
pub(crate) fn is_marked(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    words
        .iter()
        .chain([&last])
        .any(|word| marks(u64::from_le_bytes(*word)) != 0)
}

/// The eight bytes of a word looked at together: not 0 where one is to be escaped. A byte less what it must not be below
/// borrows into its highest bit; a byte that is what it must not be is 0 when that is taken out.
fn marks(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let below = word.wrapping_sub(EACH * u64::from(b' ')) & !word;
    let (quote, backslash) = (word ^ (EACH * u64::from(b'"')), word ^ (EACH * u64::from(b'\\')));
    (below | zero(quote) | zero(backslash)) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_to_be_escaped_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let marked = byte < b' ' || byte == b'"' || byte == b'\\';
            for len in 1..20 {
                for place in 0..len {
                    for around in [b'a', b' ', b'!', b'#', b']', 0x7f, 0x80, 0xa2, 0xff] {
                        let mut text = vec![around; len];
                        text[place] = byte;
                        assert_eq!(is_marked(&text), marked, "{byte} at {place} of {len}");
                    }
                }
            }
        }
        assert!(!is_marked(b""));
    }

    #[test]
    fn what_needs_no_escape_and_fits_is_written_and_nothing_else_is() {
        let written = |labels: &Labels| object(labels, &mut [0; ROOM]).map(str::to_owned);
        assert_eq!(written(&Labels::empty()).as_deref(), Some("{}"));
        for name in 1..20 {
            for value in 1..20 {
                let (name, value) = ("n".repeat(name), "é".repeat(value / 2) + &"v".repeat(value));
                let labels = Labels::from_pairs([("a", "b"), (&name, &value)]);
                let expected = format!(r#"{{"a":"b","{name}":"{value}"}}"#);
                assert_eq!(written(&labels), Some(expected));
                for (place, _) in value.char_indices() {
                    for sign in ["\"", "\\", "\n", "\u{1}"] {
                        let mut marked = value.clone();
                        marked.insert_str(place, sign);
                        assert_eq!(written(&Labels::from_pairs([(&name, &marked)])), None, "{marked:?}");
                        assert_eq!(written(&Labels::from_pairs([(&marked, &name)])), None, "{marked:?}");
                    }
                }
            }
        }
        for len in ROOM - 20..ROOM + 20 {
            let labels = Labels::from_pairs([("a", "v".repeat(len))]);
            let expected = format!(r#"{{"a":"{}"}}"#, "v".repeat(len));
            assert_eq!(written(&labels), (expected.len() <= ROOM).then_some(expected), "{len}");
        }
    }
}
