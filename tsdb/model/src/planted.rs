//! Panics planted in parsers, to show that the fuzzers find what they look for. Only in builds with the feature
//! `planted`, which no binary that is shipped has, and only while armed.

use std::cell::Cell;

/// What a planted panic says.
pub const WORDS: &str = "planted on purpose";

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// Planted panics go off on this thread.
pub fn arm() {
    ARMED.set(true);
}

/// They no longer do.
pub fn disarm() {
    ARMED.set(false);
}

/// Panics when armed and `hit`: a place in a parser that only particular input reaches.
#[expect(clippy::panic, reason = "this is what is planted")]
pub fn trap(hit: bool) {
    if hit && ARMED.get() {
        panic!("{WORDS}");
    }
}
