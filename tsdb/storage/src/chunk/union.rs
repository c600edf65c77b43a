//! The buckets of two histograms together (`tsdb/chunkenc/histogram_meta.go`, `expandSpansBothWays`).

use leadline_model::histogram::Span;

/// All buckets that either of two sets of spans has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Union {
    /// Their indices, ascending.
    indices: Vec<i64>,
    /// Where in `indices` the buckets of the left set are.
    left: Vec<usize>,
    /// Where in `indices` the buckets of the right set are.
    right: Vec<usize>,
}

impl Union {
    /// The union of two sets of buckets; of each at most as many as it has counts.
    pub(super) fn of(left: (&[Span], usize), right: (&[Span], usize)) -> Self {
        let mut all = Self {
            indices: Vec::with_capacity(left.1.max(right.1)),
            left: Vec::with_capacity(left.1),
            right: Vec::with_capacity(right.1),
        };
        let mut a = indices(left.0).take(left.1).peekable();
        let mut b = indices(right.0).take(right.1).peekable();
        while let Some(next) = [a.peek(), b.peek()].into_iter().flatten().min().copied() {
            if a.next_if_eq(&next).is_some() {
                all.left.push(all.indices.len());
            }
            if b.next_if_eq(&next).is_some() {
                all.right.push(all.indices.len());
            }
            all.indices.push(next);
        }
        all
    }

    /// Number of buckets.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether the right set has buckets that the left has not.
    pub(super) fn widens_left(&self) -> bool {
        self.left.len() < self.indices.len()
    }

    /// Whether the left set has buckets that the right has not.
    pub(super) fn widens_right(&self) -> bool {
        self.right.len() < self.indices.len()
    }

    /// Where the buckets of the left set are in the union.
    pub(super) fn left(&self) -> &[usize] {
        &self.left
    }

    /// Where the buckets of the right set are in the union.
    pub(super) fn right(&self) -> &[usize] {
        &self.right
    }

    /// The union's spans, as few as can be.
    pub(super) fn spans(&self) -> Vec<Span> {
        join(self.indices.iter().copied())
    }
}

/// The same buckets in as few spans as can be.
pub(super) fn joined(spans: &[Span], buckets: usize) -> Vec<Span> {
    join(indices(spans).take(buckets))
}

fn join(indices: impl Iterator<Item = i64>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut expected = 0;
    for index in indices {
        match spans.last_mut() {
            Some(span) if index == expected => span.length += 1,
            _ => spans.push(Span {
                offset: (index - expected) as i32,
                length: 1,
            }),
        }
        expected = index + 1;
    }
    spans
}

/// The indices of the buckets of `spans`.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i64> {
    spans
        .iter()
        .scan(0i64, |next, span| {
            let first = *next + i64::from(span.offset);
            *next = first + i64::from(span.length);
            Some(first..*next)
        })
        .flatten()
}
