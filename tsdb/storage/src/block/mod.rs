//! Blocks: what compaction wrote and nobody changes any more, in the layout of Prometheus (`tsdb/block.go`).
