//! Which label names and label pairs make the most series (`tsdb/index/postings.go`, `MemPostings.Stats`).

use super::Head;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The largest of each kind, the largest first and, of equals, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cardinality {
    /// Number of series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Number of values by label name.
    pub values_by_name: Vec<(String, u64)>,
    /// Bytes that Prometheus would need for the pairs of a label name, each as often as series carry it.
    pub bytes_by_name: Vec<(String, u64)>,
    /// Number of series by label pair, `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

/// Label pairs that are looked at while the index is held.
const PAIRS_AT_ONCE: usize = 4_096;

impl Head {
    /// The `limit` largest of each kind. The index is held for some thousand label pairs at a time.
    #[must_use]
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let [mut metrics, mut names, mut bytes, mut pairs] = std::array::from_fn(|_| Top::new(limit));
        let known = self.index.read().pairs.names().len();
        for id in 0..known {
            let (mut values, mut size, mut from) = (0, 0, 0);
            loop {
                let index = self.index.read();
                let Some(name) = index.pairs.names().get(id) else { break };
                let some = name.pairs.iter().skip(from).take(PAIRS_AT_ONCE);
                let looked_at = some.len();
                for pair in some.map(|&pair| index.pairs.pair(pair)) {
                    let series = pair.postings.len() as u64;
                    if series == 0 {
                        continue;
                    }
                    values += 1;
                    size += (text_bytes(&name.text) + text_bytes(&pair.value)) * series;
                    pairs.push(series, || format!("{}={}", name.text, pair.value));
                    if &*name.text == "__name__" {
                        metrics.push(series, || pair.value.to_string());
                    }
                }
                from += looked_at;
                if looked_at < PAIRS_AT_ONCE {
                    if values > 0 {
                        names.push(values, || name.text.to_string());
                        bytes.push(size, || name.text.to_string());
                    }
                    break;
                }
            }
        }
        Cardinality {
            series_by_metric: metrics.sorted(),
            values_by_name: names.sorted(),
            bytes_by_name: bytes.sorted(),
            series_by_pair: pairs.sorted(),
        }
    }
}

/// Bytes of a text with its length as Prometheus packs labels (`model/labels/labels_stringlabels.go`, `labelSize`).
fn text_bytes(text: &str) -> u64 {
    let length = if text.len() < 255 { 1 } else { 4 };
    text.len() as u64 + length
}

/// Keeps the largest; the text of one that is too small is not made.
struct Top {
    limit: usize,
    kept: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Top {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: BinaryHeap::new(),
        }
    }

    fn push(&mut self, count: u64, text: impl FnOnce() -> String) {
        let full = self.kept.len() >= self.limit;
        let least = self.kept.peek().map_or(0, |Reverse((least, _))| *least);
        if full && count < least || self.limit == 0 {
            return;
        }
        self.kept.push(Reverse((count, Reverse(text()))));
        if full {
            self.kept.pop();
        }
    }

    fn sorted(self) -> Vec<(String, u64)> {
        let all = self.kept.into_sorted_vec();
        all.into_iter()
            .map(|Reverse((count, Reverse(text)))| (text, count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use leadline_model::clock::ManualClock;
    use leadline_model::labels::Labels;
    use leadline_model::port::{Appender, Attempt, Batch, Extras};
    use std::sync::Arc;

    #[test]
    fn the_largest_come_first_and_equals_by_name() {
        let head = Head::new(Settings::default(), Arc::new(ManualClock::at(0))).unwrap();
        let series = |name: &str, pod: usize| Labels::from_pairs([("__name__", name), ("pod", &format!("p{pod}"))]);
        let created = (0..3)
            .map(|pod| series("b", pod))
            .chain((0..3).map(|pod| series("a", pod)));
        let created = created.chain([
            series("c", 0),
            Labels::from_pairs([("__name__", "d"), ("x", &"y".repeat(300))]),
        ]);
        head.commit(&Batch {
            owner: head.new_owner(),
            slot: 0,
            attempt: Attempt::Good,
            created: created.collect(),
            entries: Vec::new(),
            extras: Extras::default(),
        })
        .unwrap();
        let of = |pairs: &[(&str, u64)]| pairs.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect::<Vec<_>>();
        let top = head.cardinality(2);
        assert_eq!(top.series_by_metric, of(&[("a", 3), ("b", 3)]));
        assert_eq!(top.values_by_name, of(&[("__name__", 4), ("pod", 3)]));
        // 8 series of 8 and 1 bytes with a length each; 1 of 1 and 300 bytes, whose length takes 4.
        assert_eq!(top.bytes_by_name, of(&[("x", 306), ("__name__", 88)]));
        assert_eq!(top.series_by_pair, of(&[("__name__=a", 3), ("__name__=b", 3)]));
        assert_eq!(head.cardinality(100).series_by_pair.len(), 8);
        assert_eq!(head.cardinality(0), Cardinality::default());
    }
}
