//! A float as the difference to the one before it, in bits (`tsdb/chunkenc/xor.go`, `xorWrite`).

use super::bits::{BitReader, BitWriter};

/// Marks that no window of significant bits was set yet.
const NO_WINDOW: u8 = 0xff;

/// The value that the next one is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorValue {
    /// Its bits.
    pub(super) bits: u64,
    leading: u8,
    trailing: u8,
}

impl Default for XorValue {
    fn default() -> Self {
        Self::new(0)
    }
}

/// Leading zeros and significant bits that do not fit into 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadWindow {
    pub(super) leading: u8,
    pub(super) significant: u8,
}

impl XorValue {
    /// The first value, which is written as it is.
    pub(super) fn new(bits: u64) -> Self {
        Self {
            bits,
            leading: NO_WINDOW,
            trailing: 0,
        }
    }

    /// The value.
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Writes the next value.
    pub(super) fn put(&mut self, out: &mut BitWriter, value: f64) {
        let bits = value.to_bits();
        let x = bits ^ self.bits;
        self.bits = bits;
        if x == 0 {
            return out.push(0, 1);
        }
        let leading = (x.leading_zeros() as u8).min(31);
        let trailing = x.trailing_zeros() as u8;
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            out.push(0b10, 2);
            return out.push(
                x >> self.trailing,
                64 - u32::from(self.leading) - u32::from(self.trailing),
            );
        }
        (self.leading, self.trailing) = (leading, trailing);
        let width = 64 - u32::from(leading) - u32::from(trailing);
        out.push(0b11 << 11 | u64::from(leading) << 6 | u64::from(width & 63), 13);
        out.push(x >> trailing, width);
    }

    /// Reads the next value.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), BadWindow> {
        if bits.read(1) == 0 {
            return Ok(());
        }
        if bits.read(1) == 0 {
            self.reuse(bits);
            return Ok(());
        }
        self.window(bits)
    }

    /// Reads a difference within the window. Where none was set it is all 64 bits: Prometheus writes that when it goes
    /// on with a chunk whose values were all equal until it was restarted.
    pub(super) fn reuse(&mut self, bits: &mut BitReader<'_>) {
        let leading = if self.leading == NO_WINDOW { 0 } else { self.leading };
        let width = 64 - u32::from(leading) - u32::from(self.trailing);
        self.bits ^= bits.read(width) << self.trailing;
    }

    /// Reads a window and a difference within it.
    pub(super) fn window(&mut self, bits: &mut BitReader<'_>) -> Result<(), BadWindow> {
        let leading = bits.read(5) as u8;
        let significant = match bits.read(6) as u8 {
            0 => 64,
            n => n,
        };
        let Some(trailing) = 64u8.checked_sub(leading + significant) else {
            return Err(BadWindow { leading, significant });
        };
        (self.leading, self.trailing) = (leading, trailing);
        self.reuse(bits);
        Ok(())
    }
}
