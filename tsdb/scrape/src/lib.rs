//! Target groups to committed samples.
