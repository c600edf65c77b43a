//! How many connections each address has: one must not take all that a listener accepts.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The connections of a listener, by the address that they come from.
#[derive(Debug)]
pub(crate) struct Places {
    listener: &'static str,
    most: usize,
    taken: Mutex<HashMap<IpAddr, Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    places: usize,
    /// Whether it was logged that there are no more; once until the address is gone.
    told: bool,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    /// `most` for each address, of the listener named so in the log.
    pub(crate) fn new(listener: &'static str, most: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { listener, most, taken })
    }

    /// A place for a connection from `peer`, unless it has all that it may have.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut all = self.taken.lock();
        let taken = all.entry(peer).or_default();
        if taken.places >= self.most {
            if !std::mem::replace(&mut taken.told, true) {
                let (listener, most) = (self.listener, self.most);
                tracing::warn!(listener, %peer, most, "an address has all connections that it may have; further ones are refused");
            }
            return None;
        }
        taken.places += 1;
        let places = Arc::clone(self);
        Some(Place { places, peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.taken.lock();
        if let Some(taken) = all.get_mut(&self.peer) {
            taken.places -= 1;
            if taken.places == 0 {
                all.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_share_and_leaves_nothing_behind() {
        let places = Places::new("test", 2);
        let [one, mapped, other] = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"].map(|a| a.parse::<IpAddr>().unwrap());
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
        assert!(places.taken.lock().is_empty());
    }
}
