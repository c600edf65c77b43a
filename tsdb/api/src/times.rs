//! Texts of times. The series of a range query share its steps: the text of each is written once and copied from then on.

use crate::number::push_timestamp;
use leadline_model::Timestamp;

/// The most texts that are kept: the steps that a range query may have.
const MOST: usize = 11_001;

/// What ends a value and its point, and what stands before the next.
const BETWEEN: &str = "\"],";

/// Texts of `"],[time,"`, which end a point and begin the next.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Times (ms), ascending, and where their texts end.
    known: Vec<(Timestamp, usize)>,
    texts: String,
    /// Which of them is likely to be asked next.
    next: usize,
}

impl Times {
    /// A series begins: its first point is likely to be at the first time.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Begins a point that follows another: appends what ends that one's value, `[`, the time (ms) in seconds, and what
    /// begins a value.
    #[inline]
    pub(crate) fn push(&mut self, out: &mut String, t: Timestamp) {
        self.push_from(0, out, t);
    }

    /// As [`Self::push`], of the first point.
    pub(crate) fn push_first(&mut self, out: &mut String, t: Timestamp) {
        self.push_from(BETWEEN.len(), out, t);
    }

    /// Appends the text of a time without so many bytes.
    #[inline]
    fn push_from(&mut self, skipped: usize, out: &mut String, t: Timestamp) {
        if self.known.get(self.next).is_none_or(|known| known.0 != t) {
            match self.find(t) {
                Some(place) => self.next = place,
                None => {
                    out.push_str(&BETWEEN[skipped..]);
                    return write(out, t);
                }
            }
        }
        let start = self.next.checked_sub(1).and_then(|i| self.known.get(i));
        let (start, end) = (start.map_or(0, |known| known.1), self.known[self.next].1);
        out.push_str(&self.texts[start + skipped..end]);
        self.next += 1;
    }

    /// Where the text of a time is. One that is later than all others is added while there is room.
    fn find(&mut self, t: Timestamp) -> Option<usize> {
        if self.known.last().is_some_and(|last| last.0 >= t) {
            return self.known.binary_search_by_key(&t, |known| known.0).ok();
        }
        if self.known.len() == MOST {
            return None;
        }
        self.texts.push_str(BETWEEN);
        write(&mut self.texts, t);
        self.known.push((t, self.texts.len()));
        Some(self.known.len() - 1)
    }
}

fn write(out: &mut String, t: Timestamp) {
    out.push('[');
    push_timestamp(out, t);
    out.push_str(",\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_same_text_whatever_came_before() {
        let mut times = Times::default();
        let series: [&[Timestamp]; 6] = [
            &[2_000, 3_000, 4_500],
            &[2_000, 3_000, 4_500],
            &[3_000, 6_000],
            &[1_000, 2_000, 3_500, 6_000],
            &[-1_500, 0, i64::MAX],
            &[],
        ];
        for points in series {
            times.rewind();
            for (i, &t) in points.iter().enumerate() {
                let (mut out, mut alone) = (String::new(), String::new());
                if i == 0 {
                    times.push_first(&mut out, t);
                } else {
                    alone.push_str(BETWEEN);
                    times.push(&mut out, t);
                }
                write(&mut alone, t);
                assert_eq!(out, alone);
            }
        }
        assert_eq!(times.known.len(), 5);
    }

    #[test]
    fn texts_are_kept_for_as_many_times_as_a_query_has_steps() {
        let mut times = Times::default();
        let mut out = String::new();
        (0..30_000).for_each(|t| times.push(&mut out, t * 7));
        assert_eq!(times.known.len(), MOST);
        assert!(out.ends_with("\"],[209.993,\""));
        out.clear();
        times.push_first(&mut out, 300_000);
        assert_eq!(out, "[300,\"");
    }
}
