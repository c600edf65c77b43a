//! How many connections each address has, and how many those have together who have not shown who they are: neither one address
//! nor strangers from many may take all that a listener accepts.

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
    /// Whether it was logged that there are no more; once until the address is gone.
    told: bool,
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
    /// stranger's until it is kept ([`Place::keep`]); none is where `strangers` is absent.
    pub(crate) fn new(listener: &'static str, most: usize, strangers: Option<usize>) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self {
            listener,
            most,
            strangers,
            taken,
        })
    }

    /// A place for a connection from `peer`. Where there is none left, a stranger loses theirs for it: the oldest of `peer`, where
    /// that has all that an address may have; else the oldest of the address with most strangers. `None` when `peer` has all
    /// that it may have and none of them is a stranger's.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut all = self.taken.lock();
        let full = all.by.get(&peer).is_some_and(|share| share.places() >= self.most);
        if full && !all.end_oldest(peer) {
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
            all.end_greediest();
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

    /// Ends the oldest stranger of the address that has most, where there is any and no other is about to go.
    pub(crate) fn end_a_stranger(&self) {
        let mut all = self.taken.lock();
        if all.leaving == 0 {
            all.end_greediest();
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
        self.known + self.strangers.len()
    }
}

impl Taken {
    fn end_greediest(&mut self) {
        let age = |share: &Share| share.strangers.keys().next().copied().map(Reverse);
        let greediest = self
            .by
            .iter()
            .max_by_key(|(_, share)| (share.strangers.len(), age(share)));
        if let Some((&peer, _)) = greediest {
            self.end_oldest(peer);
        }
    }

    /// Whether there was a stranger of `peer` to be ended.
    fn end_oldest(&mut self, peer: IpAddr) -> bool {
        let oldest = self.by.get_mut(&peer).and_then(|share| share.strangers.pop_first());
        let Some((_, lost)) = oldest else { return false };
        lost.cancel();
        self.strangers -= 1;
        self.leaving += 1;
        self.forget(peer);
        true
    }

    /// Leaves nothing behind of an address without a place.
    fn forget(&mut self, peer: IpAddr) {
        if self.by.get(&peer).is_some_and(|share| share.places() == 0) {
            self.by.remove(&peer);
        }
    }
}

impl Place {
    /// It is no stranger's any more; nobody loses it to another then. One that is lost already stays so.
    pub(crate) fn keep(&self) {
        let mut all = self.places.taken.lock();
        if let Some(share) = all.by.get_mut(&self.peer)
            && share.strangers.remove(&self.number).is_some()
        {
            share.known += 1;
            all.strangers -= 1;
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
        let first = places.take(one);
        let second = places.take(mapped);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(one).is_none() && places.take(mapped).is_none());
        let third = places.take(other);
        assert!(third.is_some());
        drop(first);
        let again = places.take(one);
        assert!(again.is_some() && places.take(one).is_none());
        drop((second, third, again));
        assert_eq!(left(&places), (0, 0, 0));
    }

    #[test]
    fn a_stranger_too_many_ends_the_oldest_of_the_address_with_most() {
        let places = Places::new("test", 8, Some(4));
        let [greedy, late, new] = addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let from = [late, greedy, greedy, greedy, new, new, new];
        let taken = from.map(|peer| places.take(peer).unwrap());
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
        let known = places.take(one).unwrap();
        known.keep();
        let strange = places.take(one).unwrap();
        let next = places.take(one).unwrap();
        assert!(strange.lost.is_cancelled(), "the address has two places");
        strange.keep();
        next.keep();
        next.keep();
        assert!(
            places.take(one).is_none(),
            "nobody of the address is a stranger any more"
        );
        drop(strange);
        let [first, second, third] = [other; 3].map(|peer| places.take(peer).unwrap());
        assert!(first.lost.is_cancelled());
        places.end_a_stranger();
        assert!(!second.lost.is_cancelled(), "one is about to go already");
        drop(first);
        places.end_a_stranger();
        assert!(second.lost.is_cancelled() && !third.lost.is_cancelled());
        assert!(!known.lost.is_cancelled() && !next.lost.is_cancelled());
        assert_eq!(left(&places), (2, 1, 1));
        drop((known, next, second, third));
        assert_eq!(left(&places), (0, 0, 0));
    }
}
