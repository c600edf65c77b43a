//! The table of postings: where the list of each label pair is, by name and value. In memory is every name and, of each,
//! every 32nd value.

use super::super::pages::{Stored, Window};
use super::super::stream::Stream;
use super::PAGE;
use super::page::{Checked, Page};
use crate::codec::{Cursor, Got, Malformed};
use crate::error::StorageError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Strings of an entry; there is no other number.
const KEYS: u64 = 2;

/// The whole table.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<Name>,
}

/// A label name and its values.
#[derive(Debug)]
pub(in crate::block) struct Name {
    pub(in crate::block) text: Box<str>,
    /// How many values it has.
    pub(in crate::block) values: u64,
    pages: Pages,
}

/// Where a name's values are.
#[derive(Debug)]
enum Pages {
    /// On the disk, with the first value of each, and where the last one ends.
    Stored(Vec<(Box<str>, Checked)>, u64),
    /// In memory: version 1 has no order.
    Held(Vec<(Box<str>, Arc<Page>)>),
}

impl Table {
    /// Reads all of it once and checks the section's checksum and the order.
    pub(super) fn open(stored: &Stored, offset: u64) -> Result<Self, StorageError> {
        let mut stream = Stream::framed(stored, offset)?;
        let count = stream.u32()?;
        let mut names: Vec<Name> = Vec::new();
        let mut last = String::new();
        for _ in 0..count {
            let at = stream.position();
            let bytes = stream.record(|cursor| entry(cursor).map(drop))?;
            let wrap = |e: Malformed| e.in_file(stored.path(), at);
            let (name, value, _) = entry(&mut Cursor::new(bytes)).map_err(wrap)?;
            let same = names.last().is_some_and(|n| *n.text == *name);
            let in_order = match same {
                true => *value > *last,
                false => names.last().is_none_or(|n| *n.text < *name),
            };
            if !in_order {
                let got = format!("{name:?} = {value:?} out of order");
                return Err(stored.damaged(at, "label names and values in order", got));
            }
            if !same {
                names.push(Name::stored(name));
            }
            value.clone_into(&mut last);
            if let Some(name) = names.last_mut() {
                name.push(value, at, bytes);
            }
        }
        stream.finish()?;
        Ok(Self::of(names))
    }

    /// Reads the table of version 1, which has no order, into memory.
    pub(super) fn open_unordered(stored: &Stored, offset: u64) -> Result<Self, StorageError> {
        let mut stream = Stream::framed(stored, offset)?;
        let mut names: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for _ in 0..stream.u32()? {
            let at = stream.position();
            let bytes = stream.record(|cursor| entry(cursor).map(drop))?;
            let wrap = |e: Malformed| e.in_file(stored.path(), at);
            let (name, value, offset) = entry(&mut Cursor::new(bytes)).map_err(wrap)?;
            names
                .entry(name.to_owned())
                .or_default()
                .insert(value.to_owned(), offset);
        }
        stream.finish()?;
        Ok(Self::of(
            names
                .into_iter()
                .map(|(name, values)| Name::held(&name, values))
                .collect(),
        ))
    }

    fn of(mut names: Vec<Name>) -> Self {
        names.shrink_to_fit();
        Self { names }
    }

    /// What it holds in memory, bytes.
    pub(super) fn weight(&self) -> usize {
        let room = self.names.capacity() * size_of::<Name>();
        room + self.names.iter().map(Name::weight).sum::<usize>()
    }

    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        let at = self.names.binary_search_by(|n| (*n.text).cmp(name)).ok()?;
        self.names.get(at)
    }

    /// All names but the empty one, under which the list of all series is.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|n| !n.text.is_empty())
    }
}

/// An entry's name, value and offset.
fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, &'a str, u64), Malformed> {
    let before = cursor.clone();
    match cursor.uvarint()? {
        KEYS => Ok((cursor.str()?, cursor.str()?, cursor.uvarint()?)),
        other => Err(before.malformed("2 keys", Got::Number(other))),
    }
}

impl Name {
    fn stored(text: &str) -> Self {
        Self {
            text: text.into(),
            values: 0,
            pages: Pages::Stored(Vec::new(), 0),
        }
    }

    fn held(text: &str, values: BTreeMap<String, u64>) -> Self {
        let count = values.len() as u64;
        let mut pages: Vec<(Box<str>, Page)> = Vec::new();
        for (value, offset) in values {
            match pages.last_mut() {
                Some((_, page)) if page.len() < PAGE => page.push(&value, offset),
                _ => {
                    let mut page = Page::default();
                    page.push(&value, offset);
                    pages.push((value.into(), page));
                }
            }
        }
        let pages = pages.into_iter().map(|(first, page)| (first, Arc::new(page))).collect();
        Self {
            text: text.into(),
            values: count,
            pages: Pages::Held(pages),
        }
    }

    /// Adds the next entry, whose `bytes` are at `at`.
    fn push(&mut self, value: &str, at: u64, bytes: &[u8]) {
        let begins = self.values.is_multiple_of(PAGE as u64);
        self.values += 1;
        let Pages::Stored(pages, end) = &mut self.pages else {
            return;
        };
        *end = at + bytes.len() as u64;
        if begins {
            pages.push((value.into(), Checked::at(at)));
        }
        if let Some((_, page)) = pages.last_mut() {
            page.extend(bytes);
        }
    }

    /// What it holds in memory beside itself, bytes.
    fn weight(&self) -> usize {
        let pages = match &self.pages {
            Pages::Stored(pages, _) => {
                let firsts: usize = pages.iter().map(|(first, _)| first.len()).sum();
                firsts + pages.capacity() * size_of::<(Box<str>, Checked)>()
            }
            Pages::Held(pages) => {
                let texts: usize = pages.iter().map(|(first, page)| first.len() + page.weight()).sum();
                texts + pages.capacity() * size_of::<(Box<str>, Arc<Page>)>()
            }
        };
        self.text.len() + pages
    }

    /// Pages of its values.
    pub(super) fn pages(&self) -> usize {
        match &self.pages {
            Pages::Stored(pages, _) => pages.len(),
            Pages::Held(pages) => pages.len(),
        }
    }

    fn first(&self, page: usize) -> Option<&str> {
        match &self.pages {
            Pages::Stored(pages, _) => pages.get(page).map(|p| &*p.0),
            Pages::Held(pages) => pages.get(page).map(|p| &*p.0),
        }
    }

    /// The page that `value` is on if it is anywhere; the first for one before all.
    pub(super) fn page_of(&self, value: &str) -> usize {
        let behind = match &self.pages {
            Pages::Stored(pages, _) => pages.partition_point(|p| *p.0 <= *value),
            Pages::Held(pages) => pages.partition_point(|p| *p.0 <= *value),
        };
        behind.saturating_sub(1)
    }

    /// Whether all values of a page are behind every text that begins with `prefix`.
    pub(super) fn is_behind(&self, page: usize, prefix: &str) -> bool {
        self.first(page)
            .is_some_and(|first| first > prefix && !first.starts_with(prefix))
    }

    /// Where a page is in the file; its name in the cache.
    pub(super) fn offset(&self, page: usize) -> u64 {
        match &self.pages {
            Pages::Stored(pages, _) => pages.get(page).map_or(0, |p| p.1.offset),
            Pages::Held(_) => 0,
        }
    }

    /// A page that is in memory anyway.
    pub(super) fn resident(&self, page: usize) -> Option<Arc<Page>> {
        match &self.pages {
            Pages::Stored(..) => None,
            Pages::Held(pages) => pages.get(page).map(|p| Arc::clone(&p.1)),
        }
    }

    /// Reads a page: values with the offsets of their lists.
    pub(super) fn page(&self, stored: &Stored, window: &mut Window<'_>, page: usize) -> Result<Page, StorageError> {
        let mut decoded = Page::default();
        let Pages::Stored(pages, end) = &self.pages else {
            return Ok(decoded);
        };
        let Some((_, checked)) = pages.get(page) else {
            return Ok(decoded);
        };
        let end = pages.get(page + 1).map_or(*end, |p| p.1.offset);
        let mut cursor = Cursor::new(checked.read(stored, window, end)?);
        let wrap = |e: Malformed| e.in_file(stored.path(), checked.offset);
        while !cursor.is_empty() {
            let (_, value, offset) = entry(&mut cursor).map_err(wrap)?;
            decoded.push(value, offset);
        }
        Ok(decoded)
    }
}
