//! A deletion that is asked of a store after it was damaged.

use crate::model::{Dump, read};
use crate::sound::Times;
use leadline_model::labels::Labels;
use leadline_model::matcher::{Matcher, all_match};
use leadline_model::sample::Timestamp;
use leadline_storage::db::Db;
use std::collections::BTreeMap;

/// The middle third of the time of all series of one name: in blocks and in the head, with samples before, behind and
/// beside it.
pub(crate) struct Deletion {
    matchers: Vec<Matcher>,
    mint: Timestamp,
    maxt: Timestamp,
}

impl Deletion {
    /// Of what can be read.
    pub(crate) fn of(all: &Dump) -> Self {
        let name = all.keys().find_map(|labels| labels.get("__name__")).unwrap();
        let times = || all.values().flat_map(|samples| samples.keys().copied());
        let (first, last) = (times().min().unwrap(), times().max().unwrap());
        let third = (last - first) / 3;
        Self {
            matchers: vec![Matcher::equal("__name__", name)],
            mint: first + third,
            maxt: last - third,
        }
    }

    fn has(&self, labels: &Labels, t: Timestamp) -> bool {
        self.mint <= t && t <= self.maxt && all_match(&self.matchers, labels)
    }

    /// What it leaves.
    pub(crate) fn rest(&self, all: &Dump) -> Dump {
        let mut rest = all.clone();
        for (labels, samples) in &mut rest {
            samples.retain(|&t, _| !self.has(labels, t));
        }
        rest
    }

    /// What it leaves of what cannot be lost.
    pub(crate) fn spares(&self, kept: &mut Times) {
        for (labels, times) in kept {
            times.retain(|&t| !self.has(labels, t));
        }
    }

    /// Deletes, and takes what was deleted off the disk. Returns whether a failure was told; nothing may be there any more
    /// of what was deleted without one.
    pub(crate) fn run(&self, db: &Db) -> Result<bool, String> {
        let deleted = db.delete_series(&self.matchers, self.mint, self.maxt);
        let mut told = deleted.is_err();
        for cleaned in [false, true] {
            if cleaned {
                told |= db.clean_tombstones().is_err();
            }
            match read(db, &self.matchers, self.mint, self.maxt) {
                Ok(dump) if deleted.is_ok() => {
                    let left: usize = dump?.values().map(BTreeMap::len).sum();
                    if left > 0 {
                        return Err(format!("{left} deleted samples are there, cleaned: {cleaned}"));
                    }
                }
                Ok(_) => {}
                Err(_) => told = true,
            }
        }
        Ok(told)
    }
}
