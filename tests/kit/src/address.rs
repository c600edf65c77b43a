//! Loopback addresses: a cluster claims one 127.X.0.0/16, so that clusters on one machine never meet.
//!
//! Linux answers on all of 127.0.0.0/8 without configuration, so every pod and Service has an address of its own and
//! listens on its usual port.

use crate::{Result, fail};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The port whose listener on 127.X.255.254 is the claim on the block.
const CLAIM_PORT: u16 = 65000;

/// One cluster's addresses.
#[derive(Debug)]
pub struct Block {
    second: u8,
    pods: AtomicU16,
    services: AtomicU16,
    _claim: TcpListener,
}

impl Block {
    /// Claims a block nobody else on this machine holds.
    ///
    /// # Errors
    /// All blocks are taken.
    pub fn claim() -> Result<Self> {
        let offset = random() % 200;
        for step in 0..200 {
            let second = u8::try_from(20 + (offset + step) % 200).unwrap_or(20);
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, second, 255, 254), CLAIM_PORT)) {
                return Ok(Self {
                    second,
                    pods: AtomicU16::new(0),
                    services: AtomicU16::new(0),
                    _claim: claim,
                });
            }
        }
        fail!("no free 127.X.0.0/16 block: all of 127.20 to 127.219 are claimed")
    }

    /// The control plane's address.
    #[must_use]
    pub fn control_plane(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, 0, 1)
    }

    /// The address of KEDA's processes.
    #[must_use]
    pub fn keda(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, 0, 2)
    }

    /// An address for a Service; none is given twice.
    #[must_use]
    pub fn service(&self) -> Ipv4Addr {
        let n = self.services.fetch_add(1, Ordering::Relaxed);
        let [_, low] = n.to_be_bytes();
        Ipv4Addr::new(127, self.second, 1, low.wrapping_add(1))
    }

    /// An address for a pod; none is given twice within 60,000 pods.
    #[must_use]
    pub fn pod(&self) -> Ipv4Addr {
        let n = self.pods.fetch_add(1, Ordering::Relaxed);
        let third = u8::try_from(2 + (n / 250) % 240).unwrap_or(2);
        let fourth = u8::try_from(1 + n % 250).unwrap_or(1);
        Ipv4Addr::new(127, self.second, third, fourth)
    }
}

/// A number that differs between runs.
#[must_use]
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
