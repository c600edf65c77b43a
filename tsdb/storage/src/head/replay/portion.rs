//! What was read of a part of the log, to be written as blocks.

use super::super::Head;
use super::super::durable::Durable;
use super::super::exemplars::Exemplars;
use super::super::late::Late;
use super::super::out_of_order::OutOfOrder;
use super::super::source::RangeSource;
use super::super::stripe::make_ref;
use super::{Part, Replay, Replayed};
use crate::error::StorageError;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// An exemplar, the labels of its series and the reference that the log has for that.
pub(crate) struct KeptExemplar {
    pub(super) reference: u64,
    pub(super) labels: Labels,
    pub(crate) exemplar: Exemplar,
}

/// A part of the log as a head of its own, which nobody writes to and nobody but who cuts it sees.
pub(crate) struct Portion {
    head: Head,
    late: OutOfOrder,
    /// What was found of it.
    pub(crate) found: Replayed,
    /// Its exemplars, in the order in which they came.
    pub(crate) exemplars: Vec<KeptExemplar>,
    /// Time (ms) of its newest sample that came in order; the beginning of time when there is none.
    pub(crate) maxt: Timestamp,
    /// Time (ms) of its newest sample, however it came.
    pub(crate) newest: Timestamp,
    /// Samples before this time (ms) are left out: blocks have them.
    pub(crate) min_valid: Timestamp,
}

impl Portion {
    /// Takes over what was read. Nothing of it is changed from here on.
    pub(super) fn new(of: &Head, replay: Replay<'_>) -> Result<Self, StorageError> {
        let (maxt, min_valid) = (replay.maxt, replay.min_valid);
        let exemplars = with_labels(&replay);
        let found = Replayed {
            series: replay.index.len() as u64,
            ..replay.found
        };
        let durable = Durable::reading(replay.durable, &of.settings);
        let mut head = Head::build(of.settings.clone(), of.clock.clone(), Some(durable))?;
        for (mine, mut read) in head.stripes.iter_mut().zip(replay.stripes) {
            read.late.values_mut().for_each(Late::seal);
            *mine.get_mut() = read;
        }
        *head.index.get_mut() = replay.index;
        let late = all_late(&mut head);
        Ok(Self {
            newest: maxt.max(late.maxt),
            late,
            head,
            found,
            exemplars,
            maxt,
            min_valid,
        })
    }

    /// What came in order from `mint` to `maxt` (ms, both included).
    pub(crate) fn in_order(&self, mint: Timestamp, maxt: Timestamp) -> RangeSource<'_> {
        self.head.range(mint, maxt)
    }

    /// What came out of order from `mint` to `maxt` (ms, both included).
    pub(crate) fn out_of_order(&self, mint: Timestamp, maxt: Timestamp) -> RangeSource<'_> {
        self.head.out_of_order_range(&self.late, mint, maxt)
    }

    /// [`Head::ranges_in_order`].
    pub(crate) fn ranges_in_order(&self, range: i64) -> Result<BTreeSet<Timestamp>, StorageError> {
        self.head.ranges_in_order(range)
    }

    /// [`Head::ranges_out_of_order`].
    pub(crate) fn ranges_out_of_order(&self, range: i64) -> Result<BTreeSet<Timestamp>, StorageError> {
        self.head.ranges_out_of_order(range)
    }
}

/// All that came out of order.
fn all_late(head: &mut Head) -> OutOfOrder {
    let mut all = OutOfOrder::none();
    for (at, stripe) in head.stripes.iter_mut().enumerate() {
        for (&number, late) in &stripe.get_mut().late {
            all.add(make_ref(at, number), &late.chunks);
        }
    }
    all
}

/// The exemplars with the labels of their series.
fn with_labels(replay: &Replay<'_>) -> Vec<KeptExemplar> {
    let all: Vec<(u64, &Exemplar)> = Exemplars::iter(&replay.exemplars).collect();
    let references: BTreeSet<u64> = all.iter().map(|(reference, _)| *reference).collect();
    let index = &replay.index;
    let ids = (0..index.universe() as u32).filter(|&id| references.contains(&index.series(id).0));
    let labels: BTreeMap<u64, Labels> = ids.map(|id| (index.series(id).0, index.labels(id))).collect();
    let kept = all.into_iter().filter_map(|(reference, exemplar)| {
        Some(KeptExemplar {
            reference,
            labels: labels.get(&reference)?.clone(),
            exemplar: exemplar.clone(),
        })
    });
    kept.collect()
}

impl Head {
    /// Reads a part of the directory as [`Head::replay`] reads all of it, into a head of its own. `None`: that takes more
    /// than `limit` bytes of memory. Tells also what was damaged and could not be kept, which another pass does not meet.
    ///
    /// # Errors
    /// As [`Head::replay`].
    pub(crate) fn read_part(
        &self,
        part: Part,
        limit: Option<u64>,
        monitor: &dyn super::ReplayMonitor,
    ) -> Result<(Option<Portion>, Vec<String>), StorageError> {
        let Some(durable) = self.durable.as_ref() else {
            return Ok((None, Vec::new()));
        };
        let mut replay = Replay::new(self, durable, part, limit);
        replay.read_all(monitor)?;
        let lost = replay.found.lost.clone();
        match replay.is_over() {
            true => Ok((None, lost)),
            false => Ok((Some(Portion::new(self, replay)?), lost)),
        }
    }
}
