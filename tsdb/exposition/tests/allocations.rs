//! Reading lines whose series are known allocates nothing. A test binary of its own, because it has an allocator of its own, which
//! counts for each thread: that of the tests' runner allocates meanwhile.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use leadline_exposition::{Event, Parser};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has allocated.
fn allocated() -> usize {
    ALLOCATIONS.get()
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(allocated() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn known_lines_are_read_without_an_allocation() {
    let mut body = String::from("# HELP requests_total how many\n# TYPE requests_total counter\n");
    for i in 0..1_000 {
        body += &format!(
            "requests_total{{path=\"/a b/{i}\",code=\"200\"}} {i}.5\nplain_{i} {i}\nstamped{{i=\"{i}\"}} 1e3 170000\n"
        );
    }
    let before = allocated();
    let mut parser = Parser::new(body.as_bytes());
    let (mut samples, mut bytes) = (0, 0);
    while let Ok(Some(event)) = parser.next_event() {
        if let Event::Sample { series, .. } = event {
            samples += 1;
            bytes += series.len();
        }
    }
    let allocations = allocated() - before;
    assert_eq!((samples, allocations), (3_000, 0));
    assert!(bytes > 0);
}
