//! Integers of 1 to 72 bits (`tsdb/chunkenc/varbit.go`).
//!
//! ```text
//! '0'                                                       0
//! '10' '110' '1110' '11110' + 3, 6, 9, 12 bits
//! '111110' '1111110' '11111110' '11111111' + 18, 25, 56, 64 bits
//! ```
//! A signed number of k bits above 2^(k-1) means itself minus 2^k, so that the range reaches one further up than down.

use super::bits::{BitReader, BitWriter};

/// Bits of the number behind 0 to 8 ones.
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Writes a signed number.
pub(super) fn put_int(out: &mut BitWriter, value: i64) {
    let class = match value {
        0 => 0,
        -3..=4 => 1,
        -31..=32 => 2,
        -255..=256 => 3,
        -2_047..=2_048 => 4,
        -131_071..=131_072 => 5,
        -16_777_215..=16_777_216 => 6,
        -36_028_797_018_963_967..=36_028_797_018_963_968 => 7,
        _ => 8,
    };
    put(out, class, value as u64);
}

/// Writes an unsigned number.
pub(super) fn put_uint(out: &mut BitWriter, value: u64) {
    let bits = 64 - value.leading_zeros();
    let class = WIDTHS.iter().position(|&width| bits <= width).unwrap_or(8);
    put(out, class, value);
}

fn put(out: &mut BitWriter, class: usize, value: u64) {
    let width = WIDTHS[class];
    let ones = class as u32;
    if class == 8 {
        out.push(0xff, 8);
        out.push(value, 64);
    } else {
        let prefix = ((1u64 << ones) - 1) << 1;
        let low = value & ((1u64 << width) - 1);
        out.push(prefix << width | low, ones + 1 + width);
    }
}

/// Reads what [`put_int`] wrote.
#[inline]
pub(super) fn int(bits: &mut BitReader<'_>) -> i64 {
    let (raw, width) = raw(bits);
    if width == 0 || width == 64 || raw <= 1 << (width - 1) {
        return raw as i64;
    }
    raw.wrapping_sub(1 << width) as i64
}

/// Reads what [`put_uint`] wrote.
#[inline]
pub(super) fn uint(bits: &mut BitReader<'_>) -> u64 {
    raw(bits).0
}

#[inline]
fn raw(bits: &mut BitReader<'_>) -> (u64, u32) {
    let ones = (!bits.peek()).leading_zeros().min(8);
    bits.skip((ones + 1).min(8));
    match WIDTHS[ones as usize] {
        0 => (0, 0),
        width => (bits.read(width), width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of every border of the ranges, with the bits that the number takes.
    fn borders() -> Vec<(i64, usize)> {
        let mut all = vec![(0, 1)];
        let mut below = (0i64, 0i64);
        for (ones, width) in [3u32, 6, 9, 12, 18, 25, 56].into_iter().enumerate() {
            let bits = ones + 2 + width as usize;
            let range = (1 - (1i64 << (width - 1)), 1i64 << (width - 1));
            all.extend([
                (below.0 - 1, bits),
                (below.1 + 1, bits),
                (range.0, bits),
                (range.1, bits),
            ]);
            below = range;
        }
        all.extend([(below.0 - 1, 72), (below.1 + 1, 72), (i64::MIN, 72), (i64::MAX, 72)]);
        all
    }

    #[test]
    fn every_border_of_the_ranges_takes_its_bits_and_reads_back() {
        for (value, bits) in borders() {
            let mut out = BitWriter::default();
            put_int(&mut out, value);
            put_uint(&mut out, value as u64);
            let mut bytes = Vec::new();
            out.copy_to(&mut bytes);
            let mut reader = BitReader::new(&bytes);
            let all = reader.left();
            assert_eq!(int(&mut reader), value);
            assert_eq!(all - reader.left(), bits, "{value}");
            assert_eq!(uint(&mut reader), value as u64);
            assert!(!reader.overrun());
        }
    }
}
