//! Series of several stores as one set.

use super::overlay;
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::Labels;
use leadline_model::port::{QueryError, SeriesSet};
use leadline_model::sample::{Sample, Samples, Timestamp};
use leadline_model::target::OwnerId;
use rapidhash::RapidHashMap;
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What one store has found.
pub(crate) struct Member {
    /// Its series.
    pub(crate) set: Box<dyn SeriesSet>,
    /// None of its samples is later, ms.
    pub(crate) maxt: Timestamp,
}

/// The series of all members; those with equal labels are one. Of samples at one time that of the earliest member is
/// given out, and a float before a histogram. `sorted`: in the order of their labels.
pub(crate) fn merged(mut members: Vec<Member>, sorted: bool) -> Box<dyn SeriesSet> {
    if members.len() == 1
        && let Some(only) = members.pop()
    {
        return only.set;
    }
    let series = join(&members, sorted);
    Box::new(Merged { members, series })
}

/// Where a series is: the member's number and the series' in it.
type Places = SmallVec<[(u32, u32); 2]>;

struct Merged {
    members: Vec<Member>,
    series: Vec<(Labels, Places)>,
}

fn join(members: &[Member], sorted: bool) -> Vec<(Labels, Places)> {
    let room = members.iter().map(|member| member.set.len()).max().unwrap_or(0);
    let mut at: RapidHashMap<Labels, usize> = RapidHashMap::default();
    at.reserve(room);
    let mut series: Vec<(Labels, Places)> = Vec::with_capacity(room);
    for (number, member) in members.iter().enumerate() {
        for i in 0..member.set.len() {
            let labels = member.set.labels(i);
            let place = (number as u32, i as u32);
            let known = *at.entry(labels.clone()).or_insert(series.len());
            match series.get_mut(known) {
                Some((_, places)) => places.push(place),
                None => series.push((labels, smallvec::smallvec![place])),
            }
        }
    }
    if sorted {
        series.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    series
}

impl Merged {
    /// The members that hold a series, and its number in each.
    fn places(&self, i: usize) -> impl Iterator<Item = (&Member, usize)> {
        let places = self.series.get(i).map(|(_, places)| places.as_slice()).unwrap_or(&[]);
        places
            .iter()
            .filter_map(|&(member, i)| Some((self.members.get(member as usize)?, i as usize)))
    }

    /// The only member that holds a series, if there is only one.
    fn only(&self, i: usize) -> Option<(&Member, usize)> {
        let mut places = self.places(i);
        let first = places.next()?;
        places.next().is_none().then_some(first)
    }
}

impl SeriesSet for Merged {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.series.get(i).map(|(labels, _)| labels.clone()).unwrap_or_default()
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        self.places(i).find_map(|(member, i)| member.set.owner(i))
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        if let Some((member, i)) = self.only(i) {
            return member.set.read(i, mint, maxt, into);
        }
        into.clear();
        let mut parts = Vec::new();
        for (member, i) in self.places(i) {
            let mut part = Samples::default();
            member.set.read(i, mint, maxt, &mut part)?;
            parts.push(part);
        }
        overlay::floats(parts, into);
        Ok(())
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        if let Some((member, i)) = self.only(i) {
            return member.set.read_histograms(i, mint, maxt, into);
        }
        into.clear();
        let mut parts = Vec::new();
        for (member, i) in self.places(i) {
            let mut part = Vec::new();
            member.set.read_histograms(i, mint, maxt, &mut part)?;
            if !part.is_empty() {
                parts.push(part);
            }
        }
        if !parts.is_empty() {
            let mut floats = Samples::default();
            self.read(i, mint, maxt, &mut floats)?;
            overlay::histograms(parts, &floats.t, into);
        }
        Ok(())
    }

    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        if let Some((member, i)) = self.only(i) {
            return member.set.read_all(i, mint, maxt, floats, histograms);
        }
        self.read(i, mint, maxt, floats)?;
        self.read_histograms(i, mint, maxt, histograms)
    }

    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        if let Some((member, i)) = self.only(i) {
            return member.set.start_times(i, mint, maxt, into);
        }
        into.clear();
        // A start belongs to the sample that is given out, which may be another member's.
        let mut given: BTreeMap<Timestamp, (bool, Timestamp)> = BTreeMap::new();
        let (mut floats, mut histograms, mut starts) = (Samples::default(), Vec::new(), Vec::new());
        for (member, i) in self.places(i) {
            member.set.read_all(i, mint, maxt, &mut floats, &mut histograms)?;
            member.set.start_times(i, mint, maxt, &mut starts)?;
            let start = |t: Timestamp| {
                let known = starts.binary_search_by_key(&t, |known| known.0);
                known.ok().and_then(|at| starts.get(at)).map_or(0, |known| known.1)
            };
            for &t in &floats.t {
                let of_t = given.entry(t).or_insert_with(|| (true, start(t)));
                if !of_t.0 {
                    *of_t = (true, start(t));
                }
            }
            for t in histograms.iter().map(|sample| sample.t) {
                given.entry(t).or_insert_with(|| (false, start(t)));
            }
        }
        let known = given.into_iter().filter(|(_, (_, start))| *start != 0);
        into.extend(known.map(|(t, (_, start))| (t, start)));
        Ok(())
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        // Who goes furthest first, so that the others need not be asked.
        let mut places: SmallVec<[_; 4]> = self.places(i).enumerate().collect();
        places.sort_by_key(|(_, (member, _))| Reverse(member.maxt));
        let mut newest: Option<Sample> = None;
        let mut rank = usize::MAX;
        for (place, (member, i)) in places {
            if newest.is_some_and(|newest| member.maxt < newest.t) {
                break;
            }
            let Some(found) = member.set.newest(i, mint, maxt)? else {
                continue;
            };
            if newest.is_none_or(|newest| found.t > newest.t || found.t == newest.t && place < rank) {
                (newest, rank) = (Some(found), place);
            }
        }
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Few(Vec<(Labels, Vec<(i64, f64)>)>);

    impl SeriesSet for Few {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn labels(&self, i: usize) -> Labels {
            self.0[i].0.clone()
        }

        fn owner(&self, _i: usize) -> Option<OwnerId> {
            None
        }

        fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
            into.clear();
            for &(t, v) in self.0[i].1.iter().filter(|s| s.0 >= mint && s.0 <= maxt) {
                into.push(t, v);
            }
            Ok(())
        }

        /// A value below 5 began so long before its sample.
        fn start_times(
            &self,
            i: usize,
            mint: Timestamp,
            maxt: Timestamp,
            into: &mut Vec<(Timestamp, Timestamp)>,
        ) -> Result<(), QueryError> {
            let within = self.0[i].1.iter().filter(|s| s.0 >= mint && s.0 <= maxt && s.1 < 5.0);
            *into = within.map(|&(t, v)| (t, t - v as i64)).collect();
            Ok(())
        }
    }

    fn member(series: &[(&str, &[(i64, f64)])]) -> Member {
        let named = |name: &str| Labels::from_pairs([("__name__", name)]);
        let maxt = series.iter().flat_map(|s| s.1.iter().map(|s| s.0)).max();
        Member {
            set: Box::new(Few(series.iter().map(|(name, s)| (named(name), s.to_vec())).collect())),
            maxt: maxt.unwrap_or(0),
        }
    }

    #[test]
    fn series_with_equal_labels_are_one_with_every_time_once() {
        let head = member(&[("b", &[(30, 3.0), (40, 4.0)]), ("c", &[(30, 1.0)])]);
        let block = member(&[("a", &[(10, 7.0)]), ("b", &[(10, 1.0), (30, 9.0)])]);
        let set = merged(vec![head, block], true);
        let names: Vec<String> = (0..set.len()).map(|i| set.labels(i).name().to_owned()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let mut samples = Samples::default();
        set.read(1, 0, 100, &mut samples).unwrap();
        assert_eq!((samples.t, samples.v), (vec![10, 30, 40], vec![1.0, 3.0, 4.0]));
    }

    #[test]
    fn a_start_is_that_of_the_sample_which_is_given_out() {
        let head = member(&[("a", &[(30, 9.0), (40, 4.0)]), ("c", &[(30, 1.0)])]);
        let block = member(&[("a", &[(10, 1.0), (30, 3.0), (40, 2.0)])]);
        let set = merged(vec![head, block], true);
        let mut starts = vec![(1, 1)];
        set.start_times(0, 0, 100, &mut starts).unwrap();
        assert_eq!(starts, [(10, 9), (40, 36)]);
        set.start_times(1, 0, 100, &mut starts).unwrap();
        assert_eq!(starts, [(30, 29)]);
        set.start_times(0, 0, 20, &mut starts).unwrap();
        assert_eq!(starts, [(10, 9)]);
    }

    #[test]
    fn the_newest_sample_is_that_of_the_member_that_goes_furthest() {
        let set = merged(
            vec![
                member(&[("a", &[(30, 3.0), (90, 9.0)])]),
                member(&[("a", &[(10, 1.0), (30, 8.0), (50, 5.0)])]),
            ],
            false,
        );
        let newest = |maxt| set.newest(0, 0, maxt).unwrap().map(|s| (s.t, s.v));
        assert_eq!(newest(100), Some((90, 9.0)));
        assert_eq!(newest(60), Some((50, 5.0)));
        assert_eq!(newest(40), Some((30, 3.0)));
        assert_eq!(newest(5), None);
    }
}
