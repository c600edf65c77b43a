//! Giving series out.

use super::Head;
use super::bound;
use super::frozen::{Frozen, FrozenSeries, Names, Times};
use super::grouping::Groups;
use super::index::Index;
use super::postings::Id;
use super::resolve::resolve;
use super::sorting;
use super::stripe::{STRIPES, Stripe, number_of, stripe_of};
use crate::stats::Counters;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{
    Generation, GroupOrder, GroupedSeries, Grouping, QueryError, Queryable, SeriesRef, SeriesSet,
};
use leadline_model::sample::Timestamp;
use parking_lot::RwLockReadGuard;
use rapidhash::RapidHashMap;
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

/// Calls `visit` with every series that its stripe still holds.
fn each_row<'s>(
    stripes: &'s [Option<RwLockReadGuard<'_, Stripe>>],
    found: &[(Id, SeriesRef)],
    mut visit: impl FnMut(&'s Stripe, usize, (Id, SeriesRef)),
) {
    let mut guess = [0usize; STRIPES];
    for &(id, series) in found {
        let at = stripe_of(series);
        let Some(stripe) = stripes.get(at).and_then(Option::as_deref) else {
            continue;
        };
        if let Some(row) = number_of(series).and_then(|number| stripe.row(number, guess[at])) {
            guess[at] = row + 1;
            visit(stripe, row, (id, series));
        }
    }
}

fn find(index: &Index, matchers: &[Matcher]) -> Vec<(Id, SeriesRef)> {
    resolve(index, matchers)
        .into_iter()
        .map(|id| (id, index.series(id)))
        .collect()
}

impl Head {
    /// Finds the series, lets `look` see them with their stripes locked, and `name` what it made of them with the
    /// index locked, in a state of the index that did not change in between: a commit that created series is seen
    /// whole or not at all.
    fn visit<T>(
        &self,
        matchers: &[Matcher],
        look: impl Fn(&[Option<RwLockReadGuard<'_, Stripe>>], &[(Id, SeriesRef)]) -> T,
        name: impl FnOnce(&Index, &mut T),
    ) -> T {
        Counters::add(&self.counters.selects, 1);
        for _ in 0..RETRIES {
            let (found, version) = {
                let index = self.index.read();
                (find(&index, matchers), index.version)
            };
            let mut made = {
                let stripes = lock_stripes(self, found.iter().map(|f| f.1));
                look(&stripes, &found)
            };
            let index = self.index.read();
            if index.version == version {
                name(&index, &mut made);
                return made;
            }
            Counters::add(&self.counters.retries, 1);
        }
        let stripes: Vec<_> = self.stripes.iter().map(|s| Some(s.read())).collect();
        let index = self.index.read();
        let mut made = look(&stripes, &find(&index, matchers));
        name(&index, &mut made);
        made
    }

    /// Copies the series that match, lets `name` see them with the index as it was then, and sorts them before where that
    /// is asked for.
    fn freeze(
        &self,
        matchers: &[Matcher],
        times: Times,
        sorted: bool,
        name: impl FnOnce(&Index, &mut Frozen),
    ) -> Result<Frozen, QueryError> {
        self.check_replayed(times.mint)?;
        Ok(self.visit(
            matchers,
            |stripes, found| {
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
            },
            |index, frozen| {
                if sorted {
                    sorting::sort_by_labels(index, &mut frozen.series, |series| series.id);
                }
                name(index, frozen);
            },
        ))
    }

    /// The labels of frozen series, from the cache where it has them.
    fn labels_of(&self, index: &Index, series: &[FrozenSeries]) -> Vec<Labels> {
        let room = self.settings.label_cache as usize;
        let mut missing: Vec<(u64, Labels)> = Vec::new();
        let labels = {
            let cache = self.labels.read();
            let of = |series: &FrozenSeries| {
                let key = index.series(series.id).0;
                cache.get(&key).cloned().unwrap_or_else(|| {
                    let labels = index.labels(series.id);
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
    ) -> Option<R> {
        let mut result = None;
        self.visit(
            matchers,
            |stripes, found| {
                let mut ids = Vec::with_capacity(found.len());
                each_row(stripes, found, |stripe, row, (id, _)| {
                    if stripe.overlaps(row, mint, maxt) {
                        ids.push(id);
                    }
                });
                ids
            },
            |index, ids| result = Some(name(index, ids)),
        );
        result
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
        let frozen = self.freeze(matchers, times, sorted, |index, frozen| {
            frozen.names = Names::Own(self.labels_of(index, &frozen.series));
        })?;
        Ok(Box::new(frozen))
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
        let mut groups = None;
        let sorted = grouping.order == GroupOrder::Series;
        let mut frozen = self.freeze(matchers, times, sorted, |index, frozen| {
            let ids = frozen.series.iter().map(|series| series.id);
            groups = Groups::of(index, ids, grouping);
        })?;
        let Some(Groups { of, labels, places }) = groups else {
            return Ok(None);
        };
        let (group_of, labels): (Arc<[u32]>, Arc<[Labels]>) = (of.into(), labels.into());
        frozen.names = Names::Groups(Arc::clone(&group_of), Arc::clone(&labels));
        Ok(Some(GroupedSeries {
            set: Box::new(frozen),
            group_of,
            labels,
            places: places.into(),
        }))
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.check_replayed(mint)?;
        let names = self.with_ids(matchers, mint, maxt, |index, ids| {
            let mut seen = vec![false; index.pairs.names().len()];
            for pair in ids.iter().flat_map(|&id| index.pairs_of(id)) {
                seen[index.pairs.pair(pair).name as usize] = true;
            }
            let names = index.pairs.names().iter().zip(seen).filter(|(_, seen)| *seen);
            names.map(|(name, _)| name.text.to_string()).collect::<Vec<_>>()
        });
        let mut names = names.unwrap_or_default();
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
        let values = self.with_ids(matchers, mint, maxt, |index, ids| {
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
        let mut values = values.unwrap_or_default();
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
        let found = find(&index, matchers)
            .into_iter()
            .map(|(id, series)| (id, ring.of(series.0, mint, maxt)));
        let with_some = found.filter(|(_, exemplars)| !exemplars.is_empty());
        let mut all: Vec<_> = with_some.map(|(id, exemplars)| (index.labels(id), exemplars)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }
}
