//! Reads a log from its first record to its last.

use super::MAX_RECORD_BYTES;
use super::compression::Expander;
use super::fragment::{Compression, Fault, Fragment, Part, SegmentPages, Wrong};
use super::segment::{Segment, segment_path, segments};
use crate::codec::Malformed;
use crate::disk::Disk;
use crate::error::StorageError;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment.
    pub segment: u32,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// Reads records in order. Its memory is some pages and the longest record.
///
/// The end of the last segment may be torn: a record that a crash kept from being written whole. That is the end of the
/// log, and [`Self::torn`] tells of it. Everything else that is not as it was written is an error; reading cannot go on
/// behind it. After either, [`Self::position`] is where [`super::repair`] has to cut.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments: Vec<Segment>,
    /// Index in `segments` of the one to be opened next.
    next: usize,
    pages: Option<SegmentPages>,
    /// The fragments of a record that has several.
    assembled: Vec<u8>,
    expander: Expander,
    position: Position,
    /// The first and the last segment that were asked for.
    ends: (Option<u32>, Option<u32>),
    whole: bool,
    /// There was a record.
    any: bool,
    ended: bool,
    torn: Option<StorageError>,
    hollow: Vec<u32>,
}

/// Where a record that was read is.
enum Found {
    Page(Fragment),
    Assembled(Compression),
}

impl Reader {
    /// Reads those of the segments in `dir` whose numbers are in `range`; none is fine.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the folder cannot be listed; [`StorageError::Damaged`] when segments are missing
    /// between a first one that `range` names and those that are there.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, range: impl RangeBounds<u32>) -> Result<Self, StorageError> {
        let segments: Vec<Segment> = segments(&*disk, dir)?
            .into_iter()
            .filter(|s| range.contains(&s.number))
            .collect();
        let first = match range.start_bound() {
            Bound::Included(&n) => Some(n),
            Bound::Excluded(&n) => n.checked_add(1),
            Bound::Unbounded => None,
        };
        let last = match range.end_bound() {
            Bound::Included(&n) => Some(n),
            Bound::Excluded(&n) => n.checked_sub(1),
            Bound::Unbounded => None,
        };
        let found = segments.first().map(|s| s.number);
        if let (Some(first), Some(found)) = (first, found)
            && found != first
        {
            return Err(missing(dir, first, Some(found)));
        }
        let segment = first.or(found).unwrap_or_default();
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            segments,
            next: 0,
            pages: None,
            assembled: Vec::new(),
            expander: Expander::new(),
            position: Position { segment, offset: 0 },
            ends: (first, last),
            whole: false,
            any: false,
            ended: false,
            torn: None,
            hollow: Vec::new(),
        })
    }

    /// Takes a torn end for damage too, and the lack of a segment that was asked for: for a checkpoint, which is whole or
    /// not there, begins with segment 0 and has a record, and for segments that others follow.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] and [`StorageError::Io`]. After an error there are no more records.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its own memory, which is what keeps reading cheap"
    )]
    pub fn next(&mut self) -> Result<Option<&[u8]>, StorageError> {
        if self.ended {
            return Ok(None);
        }
        let found = match self.find() {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.ended = true;
                return self.check_emptiness().map(|()| None);
            }
            Err(e) => {
                self.ended = true;
                return Err(e);
            }
        };
        self.any = true;
        self.expand(&found).map(Some)
    }

    /// Where the record begins that was returned last, or the damage, or the torn end; else the end of the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// How the last segment's end is torn, once the end was reached: the damage that it would be elsewhere.
    #[must_use]
    pub fn torn(&self) -> Option<&StorageError> {
        self.torn.as_ref()
    }

    /// Segments that were read and hold nothing, although others follow. Prometheus leaves such behind when it is ended
    /// before its first scrape; leadline does not. So they are no damage, but whoever made them empty took records.
    #[must_use]
    pub fn hollow(&self) -> &[u32] {
        &self.hollow
    }

    /// The segments that are read, those included that were.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The error that the record that was returned last is malformed, with its file.
    #[must_use]
    #[cold]
    pub fn malformed(&self, error: Malformed) -> StorageError {
        let path = segment_path(&self.dir, self.position.segment);
        let expected = format!("{} at byte {} of the record", error.expected, error.offset);
        StorageError::damaged(&path, self.position.offset, expected, error.got.to_string())
    }

    /// The error that the record that was returned last is of a type that is not known
    /// ([`super::record::unknown_type`]), with its file.
    #[must_use]
    #[cold]
    pub fn unknown(&self, number: u8) -> StorageError {
        StorageError::Unknown {
            path: segment_path(&self.dir, self.position.segment),
            offset: self.position.offset,
            what: "record type",
            found: number.to_string(),
            known: "1 to 14; a newer version has written it",
        }
    }

    /// Finds the next record and gathers it where it has several fragments.
    fn find(&mut self) -> Result<Option<Found>, StorageError> {
        let mut gathered: Option<Compression> = None;
        loop {
            let Some(pages) = &mut self.pages else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let fragment = match pages.next() {
                Ok(Some(fragment)) => fragment,
                Ok(None) if gathered.is_some() => {
                    let wrong = Wrong {
                        offset: pages.end(),
                        expected: "the rest of a record",
                        got: "the end of the segment".to_owned(),
                    };
                    return self.fault(Fault::Cut(wrong), true);
                }
                Ok(None) => {
                    self.position.offset = pages.end();
                    self.check_end()?;
                    if !self.open_next()? {
                        return Ok(None);
                    }
                    continue;
                }
                Err(fault) => return self.fault(fault, gathered.is_some()),
            };
            if let Some(found) = self.take(fragment, &mut gathered)? {
                return Ok(Some(found));
            }
        }
    }

    /// Adds a fragment to the record that is gathered; the record, once it is whole.
    fn take(&mut self, fragment: Fragment, gathered: &mut Option<Compression>) -> Result<Option<Found>, StorageError> {
        let begins = matches!(fragment.part, Part::Full | Part::First);
        let fits = match *gathered {
            None => begins,
            Some(compression) => !begins && compression == fragment.compression,
        };
        if gathered.is_none() {
            self.position.offset = fragment.offset;
            self.assembled.clear();
        }
        if !fits {
            let expected = if gathered.is_some() {
                "the rest of a record"
            } else {
                "the beginning of a record"
            };
            let got = format!("{:?} ({:?})", fragment.part, fragment.compression).to_lowercase();
            return Err(self.damaged(fragment.offset, expected, got));
        }
        let Some(pages) = &self.pages else {
            return Ok(None);
        };
        let data = pages.data(&fragment);
        if fragment.part == Part::Full {
            // An empty record says nothing; it is what a padding zero becomes when one of its bits flips.
            return Ok((!data.is_empty()).then_some(Found::Page(fragment)));
        }
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(data.len() > 99 && fragment.part == Part::Middle);
        *gathered = Some(fragment.compression);
        self.assembled.extend_from_slice(data);
        if self.assembled.len() > MAX_RECORD_BYTES {
            return Err(self.damaged(fragment.offset, "a record of at most 256 MiB", "more".to_owned()));
        }
        #[cfg(feature = "planted")]
        if fragment.part == Part::Last && crate::planted::on(crate::planted::Defect::PageEndNotReplayed) {
            *gathered = None;
            return Ok(None);
        }
        Ok((fragment.part == Part::Last).then_some(Found::Assembled(fragment.compression)))
    }

    fn expand(&mut self, found: &Found) -> Result<&[u8], StorageError> {
        let (compression, bytes) = match (found, &self.pages) {
            (Found::Page(fragment), Some(pages)) => (fragment.compression, pages.data(fragment)),
            (Found::Assembled(compression), _) => (*compression, self.assembled.as_slice()),
            (Found::Page(_), None) => (Compression::None, &[][..]),
        };
        self.expander.expand(compression, bytes).map_err(|e| {
            self.ended = true;
            let path = segment_path(&self.dir, self.position.segment);
            StorageError::damaged(&path, self.position.offset, e.expected, e.got)
        })
    }

    /// Goes on to the next segment; `false` when there is none.
    fn open_next(&mut self) -> Result<bool, StorageError> {
        let found = self.segments.get(self.next).map(|s| s.number);
        let expected = match self.next.checked_sub(1).and_then(|i| self.segments.get(i)) {
            Some(previous) => previous.number.checked_add(1),
            None if self.whole => Some(self.ends.0.unwrap_or(0)),
            None => found,
        };
        let is_missing = match found {
            Some(found) => expected != Some(found),
            None => self.whole && expected.is_some_and(|n| n <= self.ends.1.unwrap_or(0)),
        };
        if is_missing {
            return Err(missing(&self.dir, expected.unwrap_or_default(), found));
        }
        let Some(number) = found else {
            return Ok(false);
        };
        self.pages = Some(SegmentPages::open(&*self.disk, &self.dir, number, self.pages.take())?);
        self.next += 1;
        self.position = Position {
            segment: number,
            offset: 0,
        };
        Ok(true)
    }

    /// The end of the log where the last segment's end is torn, else an error.
    fn fault(&mut self, fault: Fault, within: bool) -> Result<Option<Found>, StorageError> {
        let (wrong, torn) = match fault {
            Fault::Io(e) => return Err(e),
            Fault::Cut(wrong) => (wrong, self.may_be_torn()),
            Fault::Damage(wrong) => (wrong, false),
        };
        if !within {
            self.position.offset = self.pages.as_ref().map_or(0, SegmentPages::end);
        }
        let error = self.damaged(wrong.offset, wrong.expected, wrong.got);
        if !torn {
            return Err(error);
        }
        self.torn = Some(error);
        Ok(None)
    }

    /// A checkpoint holds a record at least: before which time it left samples out.
    fn check_emptiness(&self) -> Result<(), StorageError> {
        if self.any || !self.whole || self.ends != (None, None) {
            return Ok(());
        }
        Err(self.damaged(
            self.position.offset,
            "a record",
            "none to the end of the log".to_owned(),
        ))
    }

    /// Whether the segment that is read is the log's last one. One that is empty was begun when the disk failed, and this
    /// one went on to be written.
    fn may_be_torn(&self) -> bool {
        !self.whole && self.segments.iter().skip(self.next).all(|s| s.len == 0)
    }

    /// Pages of zeros are what a crash leaves of writes that were not durable, so only the last segment may end in them.
    fn check_end(&mut self) -> Result<(), StorageError> {
        let Some(pages) = &self.pages else {
            return Ok(());
        };
        if pages.ends_in_lost_pages() && !self.may_be_torn() {
            return Err(self.damaged(pages.end(), "a fragment", "zeros to the end of the segment".to_owned()));
        }
        if pages.end() == 0 && self.next < self.segments.len() {
            self.hollow.push(self.position.segment);
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, expected: &'static str, got: String) -> StorageError {
        let path = self
            .pages
            .as_ref()
            .map_or_else(|| self.dir.clone(), |pages| pages.path.clone());
        StorageError::damaged(&path, offset, expected, got)
    }
}

fn missing(dir: &Path, number: u32, next: Option<u32>) -> StorageError {
    let got = match next {
        Some(next) => format!("none, the next is {next:08}"),
        None => "none, and none behind it".to_owned(),
    };
    StorageError::damaged(&segment_path(dir, number), 0, "this segment", got)
}
