//! Compaction: which blocks to write anew, decided apart from done.
