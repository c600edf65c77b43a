//! The series of an index that is being written, read again for their postings.

use super::super::pages::Stored;
use super::series_reader::framed;
use super::writer::MAX_LEN;
use super::{ALIGN, series};
use crate::codec::Cursor;
use crate::error::StorageError;

/// The (value, reference) pairs of some names, each name's in order. Before each series `ask` may end it.
pub(super) fn gather(
    walk: &Walk<'_>,
    names: &[(u32, u64)],
    ask: &mut dyn FnMut() -> Result<(), StorageError>,
) -> Result<Vec<(u32, Vec<u64>)>, StorageError> {
    let mut lists: Vec<(u32, Vec<u64>)> = names
        .iter()
        .map(|&(name, uses)| (name, Vec::with_capacity(usize::try_from(uses).unwrap_or(0))))
        .collect();
    walk.each(|reference, symbols| {
        ask()?;
        for &(name, value) in symbols {
            let at = lists.binary_search_by_key(&name, |list| list.0);
            if let Some((_, pairs)) = at.ok().and_then(|at| lists.get_mut(at)) {
                pairs.push(u64::from(value) << 32 | u64::from(reference));
            }
        }
        Ok(())
    })?;
    for (_, pairs) in &mut lists {
        pairs.sort_unstable();
    }
    Ok(lists)
}

/// The series that were written.
pub(super) struct Walk<'a> {
    pub(super) stored: &'a Stored,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Walk<'_> {
    /// Hands over the reference and the symbols of each.
    pub(super) fn each(
        &self,
        mut visit: impl FnMut(u32, &[(u32, u32)]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (mut window, mut symbols) = (self.stored.window(), Vec::new());
        let mut at = self.start.next_multiple_of(ALIGN);
        while at < self.end {
            let (content, end) = framed(self.stored, &mut window, at)?;
            series::decode_symbols(&mut Cursor::new(content), &mut symbols)
                .map_err(|e| e.in_file(self.stored.path(), at))?;
            let reference = u32::try_from(at / ALIGN);
            let reference =
                reference.map_err(|_| StorageError::Refused(format!("more than {MAX_LEN} bytes of series")))?;
            visit(reference, &symbols)?;
            at = end.next_multiple_of(ALIGN);
        }
        Ok(())
    }
}
