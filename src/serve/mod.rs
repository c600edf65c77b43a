//! What is listened on and as whom.

pub(crate) mod access;
pub(crate) mod authority;
pub(crate) mod certs;
pub(crate) mod expiry;
pub(crate) mod handshakes;
pub(crate) mod identity;
mod impatient;
pub(crate) mod listener;
pub(crate) mod page;
pub(crate) mod places;
pub(crate) mod runtime;
mod store;
pub(crate) mod web;
