//! The store as a whole: a directory with a lock, a head, its log and its blocks.
