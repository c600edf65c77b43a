//! How many connections each address has, and how many those have together who have not shown who they are: neither one address
//! nor many may take all that a listener accepts, strangers or with a token, of which every pod of a cluster has one.

use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The connections of a listener, by the address that they come from.
#[derive(Debug)]
pub(crate) struct Places {
    listener: &'static str,
    most: usize,
    strangers: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by: HashMap<IpAddr, Share>,
    /// Places of strangers, of all addresses together.
    strangers: usize,
    /// Those of who was authenticated by a request, of all addresses together.
    answered: usize,
    /// Connections that lost theirs and are not gone yet.
    leaving: usize,
    /// The number of the next place: the least is the oldest.
    next: u64,
    /// Whether it was logged that strangers have all places that they may have; once until they have few.
    told: bool,
}

/// What one address has.
#[derive(Debug, Default)]
struct Share {
    /// Places of who is known, and of everybody where there are no strangers.
    known: usize,
    /// Those of strangers by their number, each with what ends it.
    strangers: BTreeMap<u64, CancellationToken>,
    /// Those of who was authenticated by a request.
    answered: BTreeMap<u64, CancellationToken>,
    /// Whether it was logged that there are no more; once until the address is gone.
    told: bool,
}

/// The places that can be lost to another.
#[derive(Debug, Clone, Copy)]
enum Class {
    Stranger,
    Answered,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
    number: u64,
    lost: CancellationToken,
}

impl Places {
    /// `most` for each address, and `strangers` for strangers together, of the listener named so in the log. Each place is a
    /// stranger's until it is kept ([`Place::keep`]) or answered ([`Place::answered`]); none is where `strangers` is absent.
    pub(crate) fn new(listener: &'static str, most: usize, strangers: Option<usize>) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self {
            listener,
            most,
            strangers,
            taken,
        })
    }

    /// A place for a connection from `peer`. Where there is none left, another loses theirs for it: the oldest of `peer`, where
    /// that has all that an address may have; else, where strangers have all of theirs or the listener is `full`, the oldest of
    /// the address with most. Strangers lose theirs before those who were answered, unless these have more than strangers may.
    /// `None` when `peer` has all that it may have and each of them is kept.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr, full: bool) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut all = self.taken.lock();
        let share_taken = all.by.get(&peer).is_some_and(|share| share.places() >= self.most);
        if share_taken && !(all.end_oldest(peer, Class::Stranger) || all.end_oldest(peer, Class::Answered)) {
            self.tell(all.by.entry(peer).or_default(), peer);
            return None;
        }
        if let Some(most) = self.strangers
            && all.strangers >= most
        {
            if !std::mem::replace(&mut all.told, true) {
                let listener = self.listener;
                tracing::warn!(
                    listener,
                    most,
                    "strangers have all connections that they may have; each further one ends another"
                );
            }
            all.end_greediest(Class::Stranger);
        }
        // A connection that is about to go leaves its slot to this one.
        if full && all.leaving == 0 {
            self.make_room(&mut all);
        }
        let (number, lost) = (all.next, CancellationToken::new());
        all.next += 1;
        let share = all.by.entry(peer).or_default();
        if self.strangers.is_some() {
            share.strangers.insert(number, lost.clone());
            all.strangers += 1;
        } else {
            share.known += 1;
        }
        let places = Arc::clone(self);
        Some(Place {
            places,
            peer,
            number,
            lost,
        })
    }

    /// Ends one that can be. The only stranger may be an API server that is still shaking hands: it does not lose its place
    /// while those with a token have more than their part.
    fn make_room(&self, all: &mut Taken) {
        let crowded = self.strangers.is_some_and(|most| all.answered > most);
        let [first, second] = if crowded {
            [Class::Answered, Class::Stranger]
        } else {
            [Class::Stranger, Class::Answered]
        };
        if !all.end_greediest(first) {
            all.end_greediest(second);
        }
    }

    fn tell(&self, share: &mut Share, peer: IpAddr) {
        if !std::mem::replace(&mut share.told, true) {
            let (listener, most) = (self.listener, self.most);
            tracing::warn!(listener, %peer, most, "an address has all connections that it may have; further ones are refused");
        }
    }
}

impl Share {
    fn places(&self) -> usize {
        self.known + self.strangers.len() + self.answered.len()
    }

    fn of(&self, class: Class) -> &BTreeMap<u64, CancellationToken> {
        match class {
            Class::Stranger => &self.strangers,
            Class::Answered => &self.answered,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut BTreeMap<u64, CancellationToken> {
        match class {
            Class::Stranger => &mut self.strangers,
            Class::Answered => &mut self.answered,
        }
    }
}

impl Taken {
    /// Whether there was one of `class` to be ended.
    fn end_greediest(&mut self, class: Class) -> bool {
        let age = |share: &Share| share.of(class).keys().next().copied().map(Reverse);
        let greediest = self
            .by
            .iter()
            .max_by_key(|(_, share)| (share.of(class).len(), age(share)))
            .map(|(&peer, _)| peer);
        greediest.is_some_and(|peer| self.end_oldest(peer, class))
    }

    /// Whether there was one of `class` and `peer` to be ended.
    fn end_oldest(&mut self, peer: IpAddr, class: Class) -> bool {
        let oldest = self.by.get_mut(&peer).and_then(|share| share.of_mut(class).pop_first());
        let Some((_, lost)) = oldest else { return false };
        lost.cancel();
        *self.count(class) -= 1;
        self.leaving += 1;
        self.forget(peer);
        true
    }

    fn count(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Stranger => &mut self.strangers,
            Class::Answered => &mut self.answered,
        }
    }

    /// Leaves nothing behind of an address without a place.
    fn forget(&mut self, peer: IpAddr) {
        if self.by.get(&peer).is_some_and(|share| share.places() == 0) {
            self.by.remove(&peer);
        }
    }
}

impl Place {
    /// A certificate vouches for who has it: nobody loses it to another any more. One that is lost already stays so.
    pub(crate) fn keep(&self) {
        let mut all = self.places.taken.lock();
        for class in [Class::Stranger, Class::Answered] {
            if let Some(share) = all.by.get_mut(&self.peer)
                && share.of_mut(class).remove(&self.number).is_some()
            {
                share.known += 1;
                *all.count(class) -= 1;
            }
        }
    }

    /// A request of who has it was authenticated: it is no stranger's any more, but can be lost. Nothing changes where it is kept
    /// or lost already.
    pub(crate) fn answered(&self) {
        let mut all = self.places.taken.lock();
        if let Some(share) = all.by.get_mut(&self.peer)
            && let Some(lost) = share.strangers.remove(&self.number)
        {
            share.answered.insert(self.number, lost);
            all.strangers -= 1;
            all.answered += 1;
        }
    }

    /// Resolves when the place went to another.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.taken.lock();
        if self.lost.is_cancelled() {
            all.leaving -= 1;
            return;
        }
        let Some(share) = all.by.get_mut(&self.peer) else {
            return;
        };
        if share.strangers.remove(&self.number).is_some() {
            all.strangers -= 1;
            all.told &= self.places.strangers.is_some_and(|most| all.strangers * 2 > most);
        } else if share.answered.remove(&self.number).is_some() {
            all.answered -= 1;
        } else {
            share.known -= 1;
        }
        all.forget(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses<const N: usize>(texts: [&str; N]) -> [IpAddr; N] {
        texts.map(|text| text.parse().unwrap())
    }

    /// Addresses, strangers, and connections that lost their place and are still there.
    fn left(places: &Places) -> (usize, usize, usize) {
        let all = places.taken.lock();
        (all.by.len(), all.strangers, all.leaving)
    }

    #[test]
    fn each_address_has_its_share_and_leaves_nothing_behind() {
        let places = Places::new("test", 2, None);
        let [one, mapped, other] = addresses(["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"]);
        let first = places.take(one, false);
        let second = places.take(mapped, false);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(one, false).is_none() && places.take(mapped, false).is_none());
        let third = places.take(other, false);
        assert!(third.is_some());
        drop(first);
        let again = places.take(one, false);
        assert!(again.is_some() && places.take(one, false).is_none());
        drop((second, third, again));
        assert_eq!(left(&places), (0, 0, 0));
    }

    #[test]
    fn a_stranger_too_many_ends_the_oldest_of_the_address_with_most() {
        let places = Places::new("test", 8, Some(4));
        let [greedy, late, new] = addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let from = [late, greedy, greedy, greedy, new, new, new];
        let taken = from.map(|peer| places.take(peer, false).unwrap());
        // The last came when its own address had most.
        let lost = taken.each_ref().map(|place| place.lost.is_cancelled());
        assert_eq!(lost, [false, true, true, false, true, false, false]);
        assert_eq!(left(&places), (3, 4, 3));
        drop(taken);
        assert_eq!(left(&places), (0, 0, 0));
    }

    #[test]
    fn who_is_known_loses_nothing_and_a_stranger_of_the_same_address_loses_to_anybody() {
        let places = Places::new("test", 2, Some(2));
        let [one, other] = addresses(["10.0.0.1", "10.0.0.2"]);
        let known = places.take(one, false).unwrap();
        known.keep();
        let strange = places.take(one, false).unwrap();
        let next = places.take(one, false).unwrap();
        assert!(strange.lost.is_cancelled(), "the address has two places");
        strange.keep();
        next.keep();
        next.keep();
        assert!(
            places.take(one, false).is_none(),
            "nobody of the address is a stranger any more"
        );
        drop(strange);
        let [first, second, third] = [other; 3].map(|peer| places.take(peer, false).unwrap());
        assert!(first.lost.is_cancelled());
        assert!(!second.lost.is_cancelled() && !third.lost.is_cancelled());
        assert!(!known.lost.is_cancelled() && !next.lost.is_cancelled());
        assert_eq!(left(&places), (2, 2, 1));
        drop((known, next, first, second, third));
        assert_eq!(left(&places), (0, 0, 0));
    }

    #[test]
    fn a_full_listener_ends_strangers_first_and_those_with_a_token_where_they_have_more_than_their_part() {
        let places = Places::new("test", 8, Some(2));
        let [greedy, other, new] = addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let kept = places.take(greedy, false).unwrap();
        kept.answered();
        kept.keep();
        let held = [greedy, greedy, greedy, other].map(|peer| places.take(peer, false).unwrap());
        // Two were ended: there may be two strangers.
        let ended = held.each_ref().map(|place| place.lost.is_cancelled());
        assert_eq!(ended, [true, true, false, false]);
        let [_, _, _, other] = &held;
        other.answered();
        let more = [greedy; 3].map(|peer| {
            let place = places.take(peer, false).unwrap();
            place.answered();
            place
        });
        let lost = |place: &Place| place.lost.is_cancelled();
        let first = places.take(new, true).unwrap();
        assert!(!more.iter().any(lost), "two are about to go already");
        drop(held);
        // Three have a token, two are no strangers' part: the oldest of the address with most goes.
        let shaking = places.take(new, true).unwrap();
        assert!(lost(&more[0]) && !lost(&more[1]) && !lost(&first));
        drop(more);
        let next = places.take(new, true).unwrap();
        assert!(lost(&first) && !lost(&shaking) && !lost(&next) && !lost(&kept));
        drop(first);
        next.answered();
        let last = places.take(new, true).unwrap();
        assert!(lost(&shaking) && !lost(&next), "they have no more than their part");
        drop(shaking);
        last.answered();
        let only = places.take(new, true).unwrap();
        assert!(lost(&next) && !lost(&last) && !lost(&only), "there is no stranger");
        drop((next, last, only, kept));
        assert_eq!(left(&places), (0, 0, 0));
    }
}
