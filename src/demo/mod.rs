//! The parts of `leadline demo`.

pub(crate) mod access;
pub(crate) mod decide;
pub(crate) mod question;
pub(crate) mod screen;
pub(crate) mod workload;
