//! What is listened on and as whom.

pub mod access;
pub mod authority;
pub mod certs;
pub mod identity;
pub mod listener;
pub mod page;
pub mod web;
