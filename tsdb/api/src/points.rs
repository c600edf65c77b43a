//! The points of series as JSON: `[time,"value"],[time,"value"]`. An answer may have millions of them, so room is made for many
//! at once, and texts are copied whole words at a time: what is copied too much is written over by what follows.

use crate::number::push_number;
use crate::times::{Times, WIDTH};
use leadline_model::Timestamp;
use leadline_model::number::Digits;

/// No text of a number is longer.
const LONGEST: usize = 32;
/// The most bytes that are touched behind the beginning of a point.
const ROOM: usize = WIDTH + LONGEST;
/// Room is made for so many points at most: what is filled stays in the nearest cache.
const AT_ONCE: usize = 31;

/// Writes the points of one series after the other.
#[derive(Debug, Default)]
pub(crate) struct Points {
    times: Times,
    /// The number that was written last, and where in its batch.
    last: Option<(u64, usize, usize)>,
    /// For numbers whose text takes more than digits.
    unusual: String,
}

impl Points {
    /// A series begins: its first point is likely to be at the first time.
    pub(crate) fn rewind(&mut self) {
        self.times.rewind();
    }

    /// Appends the first of `points` (times in ms) that have room before `out` is about `full` bytes long, one at least, and
    /// returns their number. `first`: whether they begin the series; others end the value before them.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, points: &[(Timestamp, f64)], first: bool, full: usize) -> usize {
        let most = (full.saturating_sub(out.len()) / ROOM).clamp(1, AT_ONCE);
        let now = points.get(..most).unwrap_or(points);
        let start = out.len();
        out.resize(start + now.len() * ROOM, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let mut at = 0;
        self.last = None;
        for (i, &(t, v)) in now.iter().enumerate() {
            at = self.times.put(room, at, t, first && i == 0);
            at = self.put_number(room, at, v);
        }
        out.truncate(start + at);
        now.len()
    }

    /// Writes a number at a place of `room`; where it ends. One that is the same as the one before it is copied.
    #[inline]
    fn put_number(&mut self, room: &mut [u8], at: usize, v: f64) -> usize {
        if let Some((bits, from, len)) = self.last
            && bits == v.to_bits()
        {
            let text: Option<[u8; LONGEST]> = room.get(from..).and_then(|text| text.first_chunk().copied());
            if let (Some(text), Some(place)) = (text, room.get_mut(at..at + LONGEST)) {
                place.copy_from_slice(&text);
                return at + len;
            }
        }
        let mut digits = Digits::default();
        let text = match digits.usual(v) {
            Some(text) => text,
            None => {
                self.unusual.clear();
                push_number(&mut self.unusual, v);
                &self.unusual
            }
        };
        if let Some(place) = room.get_mut(at..at + text.len()) {
            place.copy_from_slice(text.as_bytes());
        }
        self.last = Some((v.to_bits(), at, text.len()));
        at + text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{push_float, push_timestamp};

    /// As points are written one by one, without the quote behind the last, which is left to whoever ends the series.
    fn one_by_one(points: &[(Timestamp, f64)]) -> String {
        let mut text = String::new();
        for (i, &(t, v)) in points.iter().enumerate() {
            text.push_str(if i > 0 { "],[" } else { "[" });
            push_timestamp(&mut text, t);
            text.push(',');
            push_float(&mut text, v);
        }
        text.pop();
        text
    }

    /// Short and long numbers, some of them repeated.
    fn number(i: u64) -> f64 {
        let mixed = (i / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match i % 23 {
            0 => -1.234_567_890_123_456_7e-6,
            1 => -2.225_073_858_507_201_4e-308,
            2 => -0.0,
            3 => [1e21, -1e20, f64::NAN, f64::NEG_INFINITY][i as usize / 23 % 4],
            4..8 => f64::from_bits(mixed),
            8..15 => (mixed >> 50) as f64 / 100.0,
            15..18 => 0.1,
            _ => (mixed >> 40) as f64,
        }
    }

    #[test]
    fn points_are_written_as_each_alone_is_in_however_many_goes() {
        let mut points = Points::default();
        for round in 0..200u64 {
            let times = |i: u64| match round % 3 {
                0 => i as i64 * 500 - 7_000,
                1 => (i * round) as i64,
                _ => number(i * 23 + 5).to_bits() as i64,
            };
            let all: Vec<_> = (0..round % 90).map(|i| (times(i), number(i + round))).collect();
            for full in [0, 100, 1_000, 100_000] {
                let (mut out, mut written) = (Vec::new(), 0);
                points.rewind();
                while written < all.len() {
                    let before = out.len();
                    written += points.push(&mut out, &all[written..], written == 0, full);
                    assert!(out.len() <= full.max(before + ROOM));
                }
                assert_eq!(String::from_utf8(out).unwrap(), one_by_one(&all), "{round} {full}");
            }
        }
    }
}
