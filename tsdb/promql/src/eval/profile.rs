//! Collects what each node costs, for those who ask.

use super::{Context, Grid, Out};
use crate::explain::{How, NodeCost};
use crate::syntax::ast::Span;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most nodes that are told; a text can have more.
const MOST: usize = 10_000;

/// The nodes so far.
#[derive(Debug, Default)]
pub(crate) struct Profile<'a> {
    nodes: Vec<NodeCost>,
    /// How long each of them took; parts of microseconds add up.
    took: Vec<Duration>,
    /// The places of the nodes that are being evaluated, the innermost last.
    running: Vec<usize>,
    /// How many selections were answered from another one's answer.
    shared: Option<&'a AtomicU64>,
    /// Where results stand in the place of calculations with constants.
    folded: Vec<Span>,
}

impl<'a> Profile<'a> {
    /// Nothing yet, of a tree with results at `folded`, whose selections count in `shared` what another one answered.
    pub(crate) fn new(shared: Option<&'a AtomicU64>, folded: Vec<Span>) -> Self {
        Self {
            shared,
            folded,
            ..Self::default()
        }
    }

    /// The nodes in the order in which their evaluation began.
    pub(crate) fn into_nodes(self) -> Vec<NodeCost> {
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let nodes = self.nodes.into_iter().zip(self.took);
        nodes
            .map(|(node, took)| NodeCost {
                micros: micros(took),
                ..node
            })
            .collect()
    }

    fn shared(&self) -> u64 {
        self.shared.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// A node that is being evaluated.
#[derive(Debug)]
pub(crate) struct Running {
    place: usize,
    began: Instant,
    series_read: u64,
    samples_read: u64,
    shared: u64,
}

/// The size of a value: series, and values over all steps.
pub(crate) type Size = (usize, usize);

impl Out {
    fn size(&self) -> Size {
        match self {
            Out::Scalar(s) => (1, s.values.len()),
            Out::Vector(grid) => grid.size(),
            Out::String(_) => (0, 0),
        }
    }
}

impl Grid {
    fn size(&self) -> Size {
        let cells = (0..self.len()).flat_map(|i| (0..self.steps).map(move |step| (i, step)));
        (self.len(), cells.filter(|&(i, step)| self.occupied(i, step)).count())
    }
}

impl Context<'_> {
    /// Notes that the evaluation of the node at `span` begins; nothing when nobody asked.
    #[inline]
    pub(crate) fn enter(&mut self, span: Span) -> Option<Running> {
        let profile = self.profile.as_mut()?;
        let place = profile.nodes.len();
        if place < MOST {
            let folded = profile.folded.contains(&span);
            profile.nodes.push(NodeCost {
                span,
                depth: profile.running.len() as u32,
                how: How {
                    folded,
                    ..How::default()
                },
                ..NodeCost::default()
            });
            profile.took.push(Duration::ZERO);
        }
        profile.running.push(place);
        self.measure(place)
    }

    /// Notes what the node made of it.
    #[inline]
    pub(super) fn leave(&mut self, running: Option<Running>, out: &Out) {
        if running.is_some() {
            self.leave_sized(running, out.size());
        }
    }

    /// The same of a vector.
    #[inline]
    pub(crate) fn leave_vector(&mut self, running: Option<Running>, grid: &Grid) {
        if running.is_some() {
            self.leave_sized(running, grid.size());
        }
    }

    /// The same of a value of this size.
    pub(super) fn leave_sized(&mut self, running: Option<Running>, size: Size) {
        let (Some(running), Some(profile)) = (running, self.profile.as_mut()) else {
            return;
        };
        profile.running.pop();
        // Of a node with others below it, these tell.
        let leaf = running.place + 1 == profile.nodes.len();
        let shared = leaf && profile.shared() > running.shared;
        if let Some(node) = profile.nodes.get_mut(running.place) {
            node.how.shared |= shared;
        }
        self.account(&running, size);
    }

    /// Begins to measure a range selector that was left, one of whose series is read now; `node` is its place.
    #[inline]
    pub(super) fn resume(&mut self, node: Option<usize>) -> Option<Running> {
        self.measure(node?)
    }

    /// Ends to measure it: so many samples of the series were read.
    #[inline]
    pub(super) fn pause(&mut self, running: Option<Running>, samples: usize) {
        if let Some(running) = running {
            self.account(&running, (usize::from(samples > 0), samples));
        }
    }

    /// Says how the innermost node comes about.
    pub(super) fn mark(&mut self, mark: impl FnOnce(&mut How)) {
        let innermost = self
            .profile
            .as_ref()
            .and_then(|profile| profile.running.last().copied());
        self.mark_at(innermost, mark);
    }

    /// Says how the node at `place` came about.
    pub(super) fn mark_at(&mut self, place: Option<usize>, mark: impl FnOnce(&mut How)) {
        let nodes = self.profile.as_mut().map(|profile| &mut profile.nodes);
        if let Some(node) = nodes.and_then(|nodes| nodes.get_mut(place?)) {
            mark(&mut node.how);
        }
    }

    /// The place of the node that begins next.
    pub(super) fn next_node(&self) -> Option<usize> {
        self.profile.as_ref().map(|profile| profile.nodes.len())
    }

    fn measure(&self, place: usize) -> Option<Running> {
        let profile = self.profile.as_ref()?;
        Some(Running {
            place,
            began: Instant::now(),
            series_read: self.stats.series_read,
            samples_read: self.stats.samples_read,
            shared: profile.shared(),
        })
    }

    fn account(&mut self, running: &Running, (series, values): Size) {
        let Some(profile) = self.profile.as_mut() else { return };
        let (Some(node), Some(took)) = (
            profile.nodes.get_mut(running.place),
            profile.took.get_mut(running.place),
        ) else {
            return;
        };
        node.series += series as u64;
        node.values += values as u64;
        node.series_read += self.stats.series_read - running.series_read;
        node.samples_read += self.stats.samples_read - running.samples_read;
        *took += running.began.elapsed();
    }
}

impl Running {
    /// The node's place among all.
    pub(super) fn place(&self) -> usize {
        self.place
    }
}
