//! Integers and texts as Prometheus' formats write them: big-endian fixed numbers, LEB128 variable ones, zig-zag signs.
