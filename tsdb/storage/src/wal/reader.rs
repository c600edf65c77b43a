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
    whole: bool,
    ended: bool,
    torn: Option<StorageError>,
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
        let found = segments.first().map(|s| s.number);
        if let (Some(first), Some(found)) = (first, found)
            && found != first
        {
            return Err(missing(dir, first, found));
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
            whole: false,
            ended: false,
            torn: None,
        })
    }

    /// Takes a torn end for damage too: for a checkpoint, which is whole or not there, and for segments that others
    /// follow.
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
                return Ok(None);
            }
            Err(e) => {
                self.ended = true;
                return Err(e);
            }
        };
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
        let Some(segment) = self.segments.get(self.next) else {
            return Ok(false);
        };
        if let Some(previous) = self.next.checked_sub(1).and_then(|i| self.segments.get(i))
            && previous.number + 1 != segment.number
        {
            return Err(missing(&self.dir, previous.number + 1, segment.number));
        }
        let number = segment.number;
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

    /// Whether the segment that is read is the log's last one. One that is empty was begun when the disk failed, and this
    /// one went on to be written.
    fn may_be_torn(&self) -> bool {
        !self.whole && self.segments.iter().skip(self.next).all(|s| s.len == 0)
    }

    /// Pages of zeros are what a crash leaves of writes that were not durable, so only the last segment may end in them.
    fn check_end(&self) -> Result<(), StorageError> {
        match &self.pages {
            Some(pages) if pages.is_hollow() && !self.may_be_torn() => {
                Err(self.damaged(pages.end(), "a fragment", "zeros to the end of the segment".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, offset: u64, expected: &'static str, got: String) -> StorageError {
        let path = self
            .pages
            .as_ref()
            .map_or_else(|| self.dir.clone(), |pages| pages.path.clone());
        StorageError::damaged(&path, offset, expected, got)
    }
}

fn missing(dir: &Path, first: u32, found: u32) -> StorageError {
    StorageError::damaged(
        &segment_path(dir, first),
        0,
        "this segment",
        format!("none, the next is {found:08}"),
    )
}
