//! Records of exemplars.

use super::series::{LabelPairs, put_labels};
use super::{Decode, Entries, RecordType, ref_delta};
use crate::codec::{Cursor, Malformed, put_f64, put_i64, put_u64, put_varint};
use leadline_model::exemplar::Exemplar;
use leadline_model::sample::Timestamp;

/// Iterates over the exemplars of a record.
pub type ExemplarIter<'a> = Entries<'a, Exemplars>;

/// How exemplars are read: as differences to the first one.
#[derive(Debug, Clone, Copy)]
pub struct Exemplars {
    base: u64,
    base_t: Timestamp,
}

/// An exemplar of a series.
#[derive(Debug, Clone, Copy)]
pub struct ExemplarEntry<'a> {
    /// Reference of the series.
    pub series: u64,
    /// Time, ms.
    pub t: Timestamp,
    /// Value.
    pub v: f64,
    /// What it belongs to.
    pub labels: LabelPairs<'a>,
}

impl ExemplarEntry<'_> {
    /// The exemplar without its series.
    #[must_use]
    pub fn to_exemplar(&self) -> Exemplar {
        Exemplar {
            labels: self.labels.to_labels(),
            t: self.t,
            v: self.v,
        }
    }
}

impl<'a> ExemplarIter<'a> {
    pub(super) fn parse(mut cursor: Cursor<'a>) -> Result<Self, Malformed> {
        let (base, base_t) = if cursor.is_empty() {
            (0, 0)
        } else {
            (cursor.be_u64()?, cursor.be_i64()?)
        };
        Ok(Self::new(cursor, Exemplars { base, base_t }))
    }
}

impl<'a> Decode<'a> for Exemplars {
    type Entry = ExemplarEntry<'a>;

    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<ExemplarEntry<'a>, Malformed> {
        Ok(ExemplarEntry {
            series: self.base.wrapping_add(cursor.varint()? as u64),
            t: self.base_t.wrapping_add(cursor.varint()?),
            v: cursor.f64()?,
            labels: LabelPairs::read(cursor)?,
        })
    }
}

/// Writes a record of exemplars, one at a time, behind what a buffer holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExemplarsEncoder {
    base: Option<(u64, Timestamp)>,
}

impl ExemplarsEncoder {
    /// Appends an exemplar of `series`; before the first one, what begins the record.
    pub fn push(&mut self, out: &mut Vec<u8>, series: u64, exemplar: &Exemplar) {
        let (base, base_t) = match self.base {
            Some(base) => base,
            None => {
                out.push(RecordType::Exemplars as u8);
                put_u64(out, series);
                put_i64(out, exemplar.t);
                *self.base.insert((series, exemplar.t))
            }
        };
        put_varint(out, ref_delta(series, base));
        put_varint(out, exemplar.t.wrapping_sub(base_t));
        put_f64(out, exemplar.v);
        put_labels(out, &exemplar.labels);
    }

    /// Whether there is no exemplar, and so no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use leadline_model::labels::Labels;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exemplars_survive(
            exemplars in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), ".{0,9}"), 0..9),
        ) {
            let mut record = Vec::new();
            let mut encoder = ExemplarsEncoder::default();
            for (series, t, v, id) in &exemplars {
                let labels = Labels::from_pairs([("trace_id", id)]);
                encoder.push(&mut record, *series, &Exemplar { labels, t: *t, v: f64::from_bits(*v) });
            }
            prop_assert_eq!(encoder.is_empty(), record.is_empty());
            if record.is_empty() {
                record.push(RecordType::Exemplars as u8);
            }
            let Ok(Record::Exemplars(entries)) = Record::parse(&record) else {
                panic!("type {:?}", record.first());
            };
            let read: Result<Vec<_>, _> = entries
                .map(|e| e.map(|e| {
                    let exemplar = e.to_exemplar();
                    let id = exemplar.labels.get("trace_id").unwrap_or("").to_owned();
                    (e.series, exemplar.t, exemplar.v.to_bits(), id)
                }))
                .collect();
            prop_assert_eq!(read, Ok(exemplars));
        }
    }
}
