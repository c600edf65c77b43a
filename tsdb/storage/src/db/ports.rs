//! The model's ports, in front of head and blocks.

use super::Db;
use super::blocks::List;
use crate::block::{Block, OUT_OF_ORDER};
use crate::error::StorageError;
use crate::query::{Member, join_sorted, merged};
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{
    AppendError, Appender, Batch, CommitEvent, Commits, Generation, GroupedSeries, Grouping, Outcome, QueryError,
    Queryable, SelectorId, SeriesSet,
};
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use std::sync::Arc;
use tokio::sync::broadcast;

impl Appender for Db {
    fn new_owner(&self) -> OwnerId {
        self.head.new_owner()
    }

    fn commit(&self, batch: &Batch) -> Result<Outcome, AppendError> {
        self.head.commit(batch)
    }
}

impl Commits for Db {
    fn register(&self, matchers: Arc<[Matcher]>) -> SelectorId {
        self.head.register(matchers)
    }

    fn deregister(&self, selector: SelectorId) {
        self.head.deregister(selector);
    }

    fn feeders(&self, selector: SelectorId) -> Vec<OwnerId> {
        self.head.feeders(selector)
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<CommitEvent>> {
        self.head.subscribe()
    }
}

/// The blocks of a list that may have samples between two times (ms).
fn within(list: &List, mint: Timestamp, maxt: Timestamp) -> impl Iterator<Item = &Arc<Block>> {
    list.iter().filter(move |block| block.overlaps(mint, maxt))
}

/// What head (if it was asked) and blocks have found, as one set. Of what came twice for one time counts, as in a merge of
/// blocks: what a block has that came in order, what the head has, what came out of order before.
pub(super) fn join(
    head: Option<Box<dyn SeriesSet>>,
    list: &List,
    matchers: &[Matcher],
    (mint, maxt): (Timestamp, Timestamp),
    sorted: bool,
) -> Result<Box<dyn SeriesSet>, QueryError> {
    let mut head = head.map(|set| Member {
        set,
        maxt: Timestamp::MAX,
    });
    let mut members: Vec<Member> = Vec::new();
    for block in within(list, mint, maxt) {
        let meta = block.meta();
        if meta.has_hint(OUT_OF_ORDER) {
            members.extend(head.take());
        }
        members.push(Member {
            set: block.select(matchers, mint, maxt, sorted)?,
            maxt: meta.max_time.saturating_sub(1),
        });
    }
    members.extend(head);
    // Who found nothing adds nothing, unless nobody found anything.
    if members.iter().any(|member| !member.set.is_empty()) {
        members.retain(|member| !member.set.is_empty());
    }
    Ok(merged(members, sorted))
}

impl Db {
    /// Whether the head has to be asked: while its log is read, blocks alone answer for the time that they hold whole. They
    /// hold none whole where something may have come out of order: now, or before the window was closed.
    fn asks_head(&self, maxt: Timestamp) -> bool {
        let late = self.late_logged || self.head.window() > 0;
        !self.head.is_replaying() || late || self.blocks.in_order_end().is_none_or(|end| maxt >= end)
    }

    /// Texts from the head, if it has to be asked, and from blocks.
    fn texts(
        &self,
        (mint, maxt): (Timestamp, Timestamp),
        of_head: impl FnOnce() -> Result<Vec<String>, QueryError>,
        of_block: impl Fn(&Block) -> Result<Vec<String>, StorageError>,
    ) -> Result<Vec<String>, QueryError> {
        let head = match self.asks_head(maxt) {
            true => of_head()?,
            false => Vec::new(),
        };
        texts(head, &self.blocks.list(), (mint, maxt), of_block)
    }
}

/// Texts that the head has found, and those from blocks: sorted, each once.
pub(super) fn texts(
    head: Vec<String>,
    list: &List,
    (mint, maxt): (Timestamp, Timestamp),
    of_block: impl Fn(&Block) -> Result<Vec<String>, StorageError>,
) -> Result<Vec<String>, QueryError> {
    let mut lists = vec![head];
    for block in within(list, mint, maxt) {
        lists.push(of_block(block)?);
    }
    Ok(join_sorted(lists))
}

impl Queryable for Db {
    fn at_most(&self, matchers: &[Matcher], mint: Timestamp) -> Option<usize> {
        // Blocks are on the disk.
        (mint >= self.blocks.end())
            .then(|| self.head.at_most(matchers, mint))
            .flatten()
    }

    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        // The head first: what is cut from it in between is found in a block then.
        let head = match self.asks_head(maxt) {
            true => Some(self.head.select(matchers, mint, maxt, sorted)?),
            false => None,
        };
        match head {
            Some(head) if mint >= self.blocks.end() => Ok(head),
            head => join(head, &self.blocks.list(), matchers, (mint, maxt), sorted),
        }
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        if !self.asks_head(maxt) || mint < self.blocks.end() {
            return Ok(None);
        }
        let found = self.head.select_groups(matchers, mint, maxt, grouping)?;
        // What was cut from the head in between is in a block now.
        Ok(found.filter(|_| mint >= self.blocks.end()))
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.texts(
            (mint, maxt),
            || self.head.label_names(matchers, mint, maxt),
            |block| block.label_names(matchers, mint, maxt),
        )
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.texts(
            (mint, maxt),
            || self.head.label_values(name, matchers, mint, maxt),
            |block| block.label_values(name, matchers, mint, maxt),
        )
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        self.head.exemplars(matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.head.generation()
    }
}
