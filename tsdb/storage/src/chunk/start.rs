//! When a counter began to count, which encodings 4 to 6 store behind each sample (`tsdb/chunkenc/st.go`).
//!
//! ```text
//! header u8   bit 7: the first sample has one; bits 0-6: the number of the first sample that changes it, 0 for none
//! sample 0    varint, where bit 7 is set
//! from that number on: varbit
//! ```
//! They are read over: nothing asks for them.

use super::bits::BitReader;
use super::varbit;

/// Which samples have a start time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StartTimes(u8);

impl StartTimes {
    /// From the header's byte.
    pub(super) fn new(header: u8) -> Self {
        Self(header)
    }

    /// Goes behind the start time of the sample with this number, from 0. `None` when it has more than 64 bits.
    pub(super) fn skip(self, bits: &mut BitReader<'_>, sample: u16) -> Option<()> {
        let (first, changes) = (self.0 & 0x80 != 0, u16::from(self.0 & 0x7f));
        if sample == 0 && first {
            bits.varint()?;
        }
        if sample > 0 && changes > 0 && sample >= changes {
            varbit::int(bits);
        }
        Some(())
    }
}
