//! Collects what each node costs, for those who ask.

use super::{Context, Out};
use crate::explain::NodeCost;
use crate::syntax::ast::Expr;
use std::time::Instant;

/// Most nodes that are told; a text can have more.
const MOST: usize = 10_000;

/// The nodes so far.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    nodes: Vec<NodeCost>,
    depth: u32,
}

impl Profile {
    /// The nodes in the order in which their evaluation began.
    pub(crate) fn into_nodes(self) -> Vec<NodeCost> {
        self.nodes
    }
}

/// A node that is being evaluated.
#[derive(Debug)]
pub(crate) struct Running {
    place: usize,
    began: Instant,
    series_read: u64,
    samples_read: u64,
}

impl Context<'_> {
    /// Notes that the evaluation of a node begins; nothing when nobody asked.
    #[inline]
    pub(super) fn enter(&mut self, expr: &Expr) -> Option<Running> {
        let profile = self.profile.as_mut()?;
        profile.depth += 1;
        let place = profile.nodes.len();
        if place < MOST {
            profile.nodes.push(NodeCost {
                span: expr.span,
                depth: profile.depth - 1,
                ..NodeCost::default()
            });
        }
        Some(Running {
            place,
            began: Instant::now(),
            series_read: self.stats.series_read,
            samples_read: self.stats.samples_read,
        })
    }

    /// Notes what the node made of it.
    #[inline]
    pub(super) fn leave(&mut self, running: Option<Running>, out: &Out) {
        let (Some(running), Some(profile)) = (running, self.profile.as_mut()) else {
            return;
        };
        profile.depth -= 1;
        let (series, values) = match out {
            Out::Scalar(s) => (1, s.values.len()),
            Out::Vector(grid) => {
                let cells = (0..grid.len()).flat_map(|i| (0..grid.steps).map(move |step| (i, step)));
                (grid.len(), cells.filter(|&(i, step)| grid.occupied(i, step)).count())
            }
            Out::String(_) => (0, 0),
        };
        if let Some(node) = profile.nodes.get_mut(running.place) {
            node.series = series as u64;
            node.values = values as u64;
            node.series_read = self.stats.series_read - running.series_read;
            node.samples_read = self.stats.samples_read - running.samples_read;
            node.micros = u64::try_from(running.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        }
    }
}
