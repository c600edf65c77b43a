//! Giving series out.

use super::Head;
use super::bound;
use super::frozen::{Frozen, Times};
use super::index::Index;
use super::matched::{self, Matched, Names, Wanted};
use super::postings::Id;
use super::stripe::{STRIPES, Stripe, number_of, stripe_of};
use crate::stats::Counters;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Generation, GroupedSeries, Grouping, QueryError, Queryable, SeriesRef, SeriesSet};
use leadline_model::sample::Timestamp;
use parking_lot::RwLockReadGuard;
use rapidhash::RapidHashMap;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How often a selection begins again because series came or went meanwhile, before it keeps the index locked.
const RETRIES: usize = 3;

/// The stripes of `series`, locked in ascending order.
fn lock_stripes<'a>(
    head: &'a Head,
    series: impl Iterator<Item = SeriesRef>,
) -> Vec<Option<RwLockReadGuard<'a, Stripe>>> {
    let set = series.fold(0u64, |set, s| set | 1 << stripe_of(s));
    (0..STRIPES)
        .map(|i| (set >> i & 1 == 1).then(|| head.stripes[i].read()))
        .collect()
}

/// How many series are copied in one go ([`Frozen::add_all`]).
const BATCH: usize = 32;

/// Calls `visit` with every series that its stripe still holds: its row there, its place in `found`, and its reference.
fn each_row<'s>(
    stripes: &'s [Option<RwLockReadGuard<'_, Stripe>>],
    found: &[(Id, SeriesRef)],
    mut visit: impl FnMut(&'s Stripe, usize, (u32, SeriesRef)),
) {
    let mut guess = [0usize; STRIPES];
    for (place, &(_, series)) in (0..).zip(found) {
        let at = stripe_of(series);
        let Some(stripe) = stripes.get(at).and_then(Option::as_deref) else {
            continue;
        };
        if let Some(row) = number_of(series).and_then(|number| stripe.row(number, guess[at])) {
            guess[at] = row + 1;
            visit(stripe, row, (place, series));
        }
    }
}

impl Head {
    /// Lets `find` look for series in the index, `look` see them with their stripes locked, and `name` see what came of it with
    /// the index locked, in a state of the index that did not change in between: a commit that created series is seen whole or
    /// not at all.
    fn visit<T, R>(
        &self,
        find: impl Fn(&Index) -> Arc<Matched>,
        look: impl Fn(&[Option<RwLockReadGuard<'_, Stripe>>], &[(Id, SeriesRef)]) -> T,
        name: impl FnOnce(&Index, Arc<Matched>, T) -> R,
    ) -> R {
        Counters::add(&self.counters.selects, 1);
        for _ in 0..RETRIES {
            let matched = find(&self.index.read());
            let made = {
                let stripes = lock_stripes(self, matched.found.iter().map(|f| f.1));
                look(&stripes, &matched.found)
            };
            let index = self.index.read();
            if index.version == matched.version {
                return name(&index, matched, made);
            }
            Counters::add(&self.counters.retries, 1);
        }
        let stripes: Vec<_> = self.stripes.iter().map(|s| Some(s.read())).collect();
        let index = self.index.read();
        let matched = find(&index);
        let made = look(&stripes, &matched.found);
        name(&index, matched, made)
    }

    /// Copies what the series that match hold in a time, in their order.
    fn freeze(&self, matchers: &[Matcher], times: Times, wanted: Wanted<'_>) -> Result<Frozen, QueryError> {
        self.check_replayed(times.mint)?;
        let key = matched::key(matchers, wanted);
        let was_kept = Cell::new(false);
        let find = |index: &Index| {
            let make = || Matched::of(index, matchers, wanted, |found| self.labels_of(index, found));
            let (matched, kept) = self.selections.get(&key, index, make);
            was_kept.set(kept);
            matched
        };
        let copy = |stripes: &[Option<RwLockReadGuard<'_, Stripe>>], found: &[(Id, SeriesRef)]| {
            // While the stripes are held: all their chunks are in these files.
            let (floor, files) = (self.floor.load(Ordering::Acquire), self.files());
            let mut frozen = Frozen::with_capacity(found.len(), floor, files);
            let mut rows = Vec::with_capacity(BATCH);
            each_row(stripes, found, |stripe, row, found| {
                rows.push((stripe, row, found));
                if rows.len() == BATCH {
                    frozen.add_all(&mut rows, times);
                }
            });
            frozen.add_all(&mut rows, times);
            frozen
        };
        let (matched, frozen) = self.visit(find, copy, |_, matched, frozen| (matched, frozen));
        Counters::add(&self.counters.selects_kept, usize::from(was_kept.get()));
        Ok(frozen.of(matched))
    }

    /// The labels of series, from the cache where it has them.
    fn labels_of(&self, index: &Index, series: &[(Id, SeriesRef)]) -> Vec<Labels> {
        let room = self.settings.label_cache as usize;
        let mut missing: Vec<(u64, Labels)> = Vec::new();
        let labels = {
            let cache = self.labels.read();
            let of = |&(id, SeriesRef(key)): &(Id, SeriesRef)| {
                cache.get(&key).cloned().unwrap_or_else(|| {
                    let labels = index.labels(id);
                    missing.push((key, labels.clone()));
                    labels
                })
            };
            series.iter().map(of).collect()
        };
        if !missing.is_empty() && missing.len() <= room {
            let mut cache = self.labels.write();
            if cache.len() + missing.len() > room {
                *cache = RapidHashMap::default();
            }
            cache.extend(missing);
        }
        labels
    }

    /// The numbers of the series that match and may have samples with `mint <= t <= maxt` (ms), handed to `name`.
    fn with_ids<R>(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        name: impl FnOnce(&Index, &[Id]) -> R,
    ) -> R {
        self.visit(
            |index| Arc::new(Matched::find(index, matchers)),
            |stripes, found| {
                let mut ids = Vec::with_capacity(found.len());
                each_row(stripes, found, |stripe, row, (place, _)| {
                    if stripe.overlaps(row, mint, maxt) {
                        ids.extend(found.get(place as usize).map(|found| found.0));
                    }
                });
                ids
            },
            |index, _, ids| name(index, &ids),
        )
    }
}

impl Queryable for Head {
    fn at_most(&self, matchers: &[Matcher], _mint: Timestamp) -> Option<usize> {
        // A histogram has any number of buckets.
        if self.stripes.iter().any(|stripe| !stripe.read().histograms.is_empty()) {
            return None;
        }
        Some(bound::at_most(&self.index.read(), matchers))
    }

    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let times = Times {
            mint,
            maxt,
            newest: false,
        };
        Ok(Box::new(self.freeze(matchers, times, Wanted::Each { sorted })?))
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let times = Times {
            mint,
            maxt,
            newest: grouping.newest,
        };
        let frozen = self.freeze(matchers, times, Wanted::Groups(grouping))?;
        let Names::Groups { of, labels, places } = &frozen.matched.names else {
            return Ok(None);
        };
        Ok(Some(GroupedSeries {
            group_of: frozen.each_of(of),
            labels: Arc::clone(labels),
            places: frozen.each_of(places),
            set: Box::new(frozen),
        }))
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.check_replayed(mint)?;
        let mut names = self.with_ids(matchers, mint, maxt, |index, ids| {
            let mut seen = vec![false; index.pairs.names().len()];
            for pair in ids.iter().flat_map(|&id| index.pairs_of(id)) {
                seen[index.pairs.pair(pair).name as usize] = true;
            }
            let names = index.pairs.names().iter().zip(seen).filter(|(_, seen)| *seen);
            names.map(|(name, _)| name.text.to_string()).collect::<Vec<_>>()
        });
        names.sort_unstable();
        Ok(names)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.check_replayed(mint)?;
        let mut values = self.with_ids(matchers, mint, maxt, |index, ids| {
            let Some(wanted) = index.pairs.name_id(name) else {
                return Vec::new();
            };
            let mut pairs: Vec<_> = ids
                .iter()
                .filter_map(|&id| index.pairs_of(id).find(|&pair| index.pairs.pair(pair).name == wanted))
                .collect();
            pairs.sort_unstable();
            pairs.dedup();
            pairs
                .into_iter()
                .map(|pair| index.pairs.pair(pair).value.to_string())
                .collect::<Vec<_>>()
        });
        values.sort_unstable();
        Ok(values)
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        self.check_replayed(mint)?;
        let index = self.index.read();
        let ring = self.exemplars.read();
        let found = Matched::find(&index, matchers).found.into_iter();
        let found = found.map(|(id, series)| (id, ring.of(series.0, mint, maxt)));
        let with_some = found.filter(|(_, exemplars)| !exemplars.is_empty());
        let mut all: Vec<_> = with_some.map(|(id, exemplars)| (index.labels(id), exemplars)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }
}
