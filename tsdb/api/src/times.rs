//! Texts of times. The series of a range query share its steps: the text of each is written once and copied from then on.

use crate::number::push_timestamp;
use leadline_model::Timestamp;

/// The most texts that are kept: the steps that a range query may have.
const MOST: usize = 11_001;

/// What ends a value and its point, and what stands before the next.
const BETWEEN: &str = "\"],";

/// Bytes in which the text of any time fits: 24 for the longest.
pub(crate) const WIDTH: usize = 32;

/// The text of `"],[time,"`, which ends a point and begins the next.
#[derive(Debug, Clone, Copy)]
struct Text {
    /// The time, ms.
    t: Timestamp,
    len: usize,
    bytes: [u8; WIDTH],
}

impl Text {
    fn of(t: Timestamp) -> Self {
        let mut text = String::with_capacity(WIDTH);
        text.push_str(BETWEEN);
        text.push('[');
        push_timestamp(&mut text, t);
        text.push_str(",\"");
        let mut bytes = [0; WIDTH];
        for (byte, from) in bytes.iter_mut().zip(text.bytes()) {
            *byte = from;
        }
        Self {
            t,
            len: text.len(),
            bytes,
        }
    }
}

/// Texts of times.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// By time, ascending.
    known: Vec<Text>,
    /// Which of them is likely to be asked next.
    next: usize,
}

impl Times {
    /// A series begins: its first point is likely to be at the first time.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Begins a point at a place of `room`, of which [`WIDTH`] bytes are overwritten: ends the value of the point before it,
    /// unless this is the `first`, and writes `[`, the time (ms) in seconds, and what begins a value. Returns where it ends.
    #[inline]
    pub(crate) fn put(&mut self, room: &mut [u8], at: usize, t: Timestamp, first: bool) -> usize {
        let text = match self.known.get(self.next) {
            Some(known) if known.t == t => {
                self.next += 1;
                known
            }
            _ => &self.find(t),
        };
        if first {
            let bytes = text.bytes.get(BETWEEN.len()..text.len).unwrap_or_default();
            if let Some(place) = room.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            return at + bytes.len();
        }
        if let Some(place) = room.get_mut(at..at + WIDTH) {
            place.copy_from_slice(&text.bytes);
        }
        at + text.len
    }

    /// The text of a time. One that is later than all others is kept while there is room.
    #[cold]
    fn find(&mut self, t: Timestamp) -> Text {
        if self.known.last().is_some_and(|last| last.t >= t) {
            let found = self.known.binary_search_by_key(&t, |known| known.t);
            if let Some(known) = found
                .ok()
                .and_then(|place| self.known.get(place).map(|known| (place, known)))
            {
                self.next = known.0 + 1;
                return *known.1;
            }
            return Text::of(t);
        }
        let text = Text::of(t);
        if self.known.len() < MOST {
            self.known.push(text);
            self.next = self.known.len();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of a point at a time.
    fn put(times: &mut Times, t: Timestamp, first: bool) -> String {
        let mut room = [b'x'; 2 * WIDTH];
        let end = times.put(&mut room, 1, t, first);
        assert_eq!(room[0], b'x');
        String::from_utf8(room[1..end].to_vec()).unwrap()
    }

    /// The same, alone.
    fn alone(t: Timestamp, first: bool) -> String {
        let mut text = String::from(if first { "[" } else { "\"],[" });
        push_timestamp(&mut text, t);
        text + ",\""
    }

    #[test]
    fn a_time_has_the_same_text_whatever_came_before() {
        let mut times = Times::default();
        let series: [&[Timestamp]; 6] = [
            &[2_000, 3_000, 4_500],
            &[2_000, 3_000, 4_500],
            &[3_000, 6_000],
            &[1_000, 2_000, 3_500, 6_000],
            &[-1_500, 0, i64::MIN, i64::MAX],
            &[],
        ];
        for points in series {
            times.rewind();
            for (i, &t) in points.iter().enumerate() {
                assert_eq!(put(&mut times, t, i == 0), alone(t, i == 0));
            }
        }
        assert_eq!(times.known.len(), 5);
    }

    #[test]
    fn texts_are_kept_for_as_many_times_as_a_query_has_steps() {
        let mut times = Times::default();
        let last = (0..30_000).map(|t| put(&mut times, t * 7, false)).last();
        assert_eq!(times.known.len(), MOST);
        assert_eq!(last.as_deref(), Some("\"],[209.993,\""));
        assert_eq!(put(&mut times, 300_000, true), "[300,\"");
    }
}
