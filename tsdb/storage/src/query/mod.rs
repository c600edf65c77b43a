//! Reading head and blocks as one.
