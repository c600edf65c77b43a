//! The head: series, postings, chunks and commits.
