//! The write-ahead log: segments of pages, records, checkpoints.
