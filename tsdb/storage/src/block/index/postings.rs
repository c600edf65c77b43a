//! A postings list: the series that carry one label pair, as four bytes each.

use super::super::pages::{Stored, Window};
use crate::codec;
use crate::error::StorageError;
use std::ops::Range;
use std::sync::Arc;

/// Appends a list's bytes, its checksum included.
pub(super) fn encode(refs: &[u32], out: &mut Vec<u8>) -> bool {
    let Ok(len) = u32::try_from(4 + 4 * refs.len()) else {
        return false;
    };
    codec::put_u32(out, len);
    let from = out.len();
    codec::put_u32(out, refs.len() as u32);
    for &r in refs {
        codec::put_u32(out, r);
    }
    codec::put_crc(out, from);
    true
}

/// Bytes of an encoded list of `n`.
pub(super) fn encoded_len(n: u64) -> u64 {
    12 + 4 * n
}

/// How many references the list at `offset` says it has; only good for deciding in which order to read lists.
pub(super) fn peek_len(window: &mut Window<'_>, offset: u64) -> Result<u32, StorageError> {
    let bytes = window.get(offset, 4)?;
    Ok(bytes.try_into().map_or(0, u32::from_be_bytes).saturating_sub(4) / 4)
}

/// Reads the list at `offset`. Its references must be ascending and within `series` (references).
pub(super) fn read(
    stored: &Stored,
    window: &mut Window<'_>,
    offset: u64,
    series: &Range<u64>,
) -> Result<Arc<[u32]>, StorageError> {
    let len = window.get(offset, 4)?.try_into().map_or(0, u32::from_be_bytes) as usize;
    let (content, sum) = match window.get(offset + 4, len.saturating_add(4))?.split_last_chunk::<4>() {
        Some(parts) => parts,
        None => (&[][..], &[0; 4]),
    };
    let (expected, got) = (u32::from_be_bytes(*sum), crc32c::crc32c(content));
    if expected != got {
        return Err(stored.damaged(
            offset,
            format!("a list with checksum {expected:08x}"),
            format!("{got:08x}"),
        ));
    }
    let Some((count, refs)) = content.split_first_chunk::<4>() else {
        return Err(stored.damaged(offset, "a list of 4 bytes or more", format!("{len} bytes")));
    };
    let count = u32::from_be_bytes(*count) as usize;
    if refs.len() != count.saturating_mul(4) {
        return Err(stored.damaged(offset, format!("{count} references"), format!("{} bytes", refs.len())));
    }
    let list: Arc<[u32]> = refs
        .chunks_exact(4)
        .map(|r| r.try_into().map_or(0, u32::from_be_bytes))
        .collect();
    let ascending = list.windows(2).all(|pair| pair.first() < pair.last());
    let inside = |r: Option<&u32>| r.is_none_or(|&r| series.contains(&u64::from(r)));
    if !ascending || !inside(list.first()) || !inside(list.last()) {
        let expected = format!("ascending references from {} to {}", series.start, series.end);
        return Err(stored.damaged(offset, expected, "others"));
    }
    Ok(list)
}
