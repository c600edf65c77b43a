//! Which series `limit_ratio` takes: those whose hash, as a share of all hashes, is small. The hash is Prometheus', so
//! that both choose the same series: XXH64 over its packed label sets (`model/labels/labels_stringlabels.go`).

use leadline_model::Labels;

const PRIME: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

/// The place of a series between 0 and 1. `buffer` is reused from series to series.
pub(crate) fn share(labels: &Labels, buffer: &mut Vec<u8>) -> f64 {
    buffer.clear();
    for (name, value) in labels {
        pack(name, buffer);
        pack(value, buffer);
    }
    xxh64(buffer) as f64 / u64::MAX as f64
}

/// A text behind its length: one byte, or 255 and three.
fn pack(text: &str, out: &mut Vec<u8>) {
    let [low, mid, high, ..] = text.len().to_le_bytes();
    if text.len() < 255 {
        out.push(low);
    } else {
        out.extend_from_slice(&[255, low, mid, high]);
    }
    out.extend_from_slice(text.as_bytes());
}

/// XXH64 with seed 0 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
fn xxh64(data: &[u8]) -> u64 {
    let (stripes, rest) = data.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        PRIME[4]
    } else {
        of_stripes(stripes)
    };
    hash = hash.wrapping_add(data.len() as u64);
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME[0]).wrapping_add(PRIME[3]);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIME[1]).wrapping_add(PRIME[2]);
    }
    for byte in rest {
        hash ^= u64::from(*byte).wrapping_mul(PRIME[4]);
        hash = hash.rotate_left(11).wrapping_mul(PRIME[0]);
    }
    avalanche(hash)
}

fn of_stripes(stripes: &[[u8; 32]]) -> u64 {
    let mut lanes = [
        PRIME[0].wrapping_add(PRIME[1]),
        PRIME[1],
        0,
        0u64.wrapping_sub(PRIME[0]),
    ];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let turned = lanes.iter().zip([1, 7, 12, 18]);
    let mut hash = turned.fold(0u64, |hash, (lane, by)| hash.wrapping_add(lane.rotate_left(by)));
    for lane in lanes {
        hash = (hash ^ round(0, lane)).wrapping_mul(PRIME[0]).wrapping_add(PRIME[3]);
    }
    hash
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME[1]))
        .rotate_left(31)
        .wrapping_mul(PRIME[0])
}

fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME[1]);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME[2]);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_xxh64() {
        for (text, expected) in [
            ("", 0xEF46_DB37_51D8_E999),
            ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] {
            assert_eq!(xxh64(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn texts_are_packed_behind_their_length() {
        let mut out = Vec::new();
        pack("ab", &mut out);
        pack(&"x".repeat(300), &mut out);
        assert_eq!((&out[..3], &out[3..8]), (&b"\x02ab"[..], &b"\xff\x2c\x01\x00x"[..]));
    }
}
