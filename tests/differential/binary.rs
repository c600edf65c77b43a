//! Operators: between numbers, between vectors and numbers, and between vectors that match.

use crate::catalogue::{COMPARISONS, SETS, TRIMS};
use crate::grammar::Grammar;
use crate::selector::{Flavour, of_metric, of_rate};
use crate::tree::{Kind, Tree};

impl Grammar {
    /// An expression with the operator `op`.
    pub(crate) fn operation(&mut self, op: &'static str, wanted: Option<&'static str>, depth: usize) -> Tree {
        if SETS.contains(&op) {
            return self.set(op, depth);
        }
        if TRIMS.contains(&op) {
            return self.trim(op, depth);
        }
        match self.random.below(10) {
            0..3 => self.with_number(op, wanted, depth),
            3 => self.numbers(op, depth),
            4 | 5 => self.same(op, wanted),
            6 => self.histograms(op),
            _ => self.matched(op, wanted),
        }
    }

    /// `bool` where it is wanted or possible.
    fn word(&self, tree: Tree, op: &'static str, wanted: Option<&'static str>, must: bool) -> Tree {
        let tree = tree.text(format!(" {op} ")).has(op);
        if !COMPARISONS.contains(&op) {
            return tree;
        }
        if must {
            return tree.text("bool ").has("bool");
        }
        if wanted == Some("bool") || self.random.chance(30) {
            return tree.maybe("bool ").has("bool");
        }
        tree
    }

    fn with_number(&mut self, op: &'static str, wanted: Option<&'static str>, depth: usize) -> Tree {
        let (vector, number) = (self.vector(depth), self.number(depth));
        let tree = Tree::new(Kind::Vector);
        if self.random.chance(70) {
            let tree = self.word(tree.text("(").child(vector).text(")"), op, wanted, false);
            return tree.child(number);
        }
        let tree = self.word(tree.child(number), op, wanted, false);
        tree.text("(").child(vector).text(")")
    }

    fn numbers(&mut self, op: &'static str, depth: usize) -> Tree {
        let (a, b) = (self.number(depth), self.number(depth));
        let tree = self.word(Tree::new(Kind::Scalar).child(a), op, None, true);
        tree.child(b)
    }

    /// Two selectors of one metric at different times.
    fn same(&mut self, op: &'static str, wanted: Option<&'static str>) -> Tree {
        let metric = self.metric(Flavour::Any);
        let shift = self.random.pick(&["1m", "5m", "30s"]);
        let tree = of_metric(Tree::new(Kind::Vector), metric).text(metric);
        let tree = self.word(tree, op, wanted, false);
        tree.text(metric).maybe(format!(" offset {shift}")).has("offset")
    }

    /// Two native histograms.
    fn histograms(&mut self, op: &'static str) -> Tree {
        let metric = self.metric(Flavour::Native);
        let shift = self.random.pick(&["1m", "5m", "30s"]);
        let tree = of_metric(Tree::new(Kind::Vector), metric).text(metric);
        let tree = self.word(tree, op, None, false);
        tree.text(format!("{metric} offset {shift}")).has("offset")
    }

    fn trim(&mut self, op: &'static str, depth: usize) -> Tree {
        let operand = match self.random.below(3) {
            0 => self.vector(depth),
            1 => {
                let range = self.selector(Flavour::Native, true);
                Tree::new(Kind::Vector).text("rate(").child(range).text(")").has("rate")
            }
            _ => self.selector(Flavour::Native, false),
        };
        let limit = self
            .random
            .pick(&["0.5", "1", "2", "0", "-0.5", "0.7", "Inf", "-Inf", "3.3"]);
        Tree::new(Kind::Vector)
            .text("(")
            .child(operand)
            .text(format!(") {op} {limit}"))
            .has(op)
    }

    /// A vector with one element for each target, labelled `job` and `instance`.
    fn by_target(&mut self) -> Tree {
        let tree = Tree::new(Kind::Vector);
        match self.random.below(4) {
            0 => tree.text(
                self.random
                    .pick(&["memory_bytes", "up", "request_duration_seconds_count"]),
            ),
            1 => {
                let range = self.random.pick(&["2m", "5m", "90s"]);
                tree.text(format!("rate(request_duration_seconds_count[{range}])"))
                    .has("rate")
            }
            2 => {
                let op = self.random.pick(&["sum", "max", "count", "avg"]);
                let metric = self
                    .random
                    .pick(&["http_requests_total", "queue_depth", "temperature_celsius"]);
                tree.text(format!("{op} by (job, instance) ({metric})"))
                    .has(op)
                    .has("by")
            }
            _ => tree
                .text("sum without (code, method) (rate(http_requests_total[3m]))")
                .has("sum")
                .has("without")
                .has("rate"),
        }
    }

    /// A vector with several elements for each target.
    fn by_more(&self) -> Tree {
        let metric = self.random.pick(&[
            "http_requests_total",
            "queue_depth",
            "cpu_seconds_total",
            "temperature_celsius",
        ]);
        let tree = Tree::new(Kind::Vector);
        match self.random.chance(30) {
            true => {
                let range = of_metric(Tree::new(Kind::Matrix), metric).text(format!("{metric}[4m]"));
                of_rate(tree.text("rate(").child(range).text(")").has("rate"))
            }
            false => tree.text(metric),
        }
    }

    /// Operands whose labels match, with `on`, `ignoring` and grouping.
    pub(crate) fn matched(&mut self, op: &'static str, wanted: Option<&'static str>) -> Tree {
        let grouping = match wanted {
            Some(word @ ("group_left" | "group_right")) => Some(word),
            Some(_) => None,
            None => self.random.pick(&[None, None, Some("group_left"), Some("group_right")]),
        };
        let tree = Tree::new(Kind::Vector);
        let Some(group) = grouping else {
            let (left, right) = (self.by_target(), self.by_target());
            let tree = self.word(tree.text("(").child(left).text(")"), op, wanted, false);
            let tree = match (wanted, self.random.below(3)) {
                (Some("on"), _) | (None, 0) => tree.maybe("on (job, instance) ").has("on"),
                (Some("ignoring"), _) | (None, 1) => tree.maybe("ignoring (version) ").has("ignoring"),
                _ => tree,
            };
            return tree.text("(").child(right).text(")");
        };
        let many = self.by_more();
        let (one, include) = match self.random.below(3) {
            0 => (Tree::leaf(Kind::Vector, "build_info"), "version"),
            1 => (Tree::leaf(Kind::Vector, "target_info"), "cluster, env"),
            _ => (self.by_target(), ""),
        };
        let (left, right) = if group == "group_left" {
            (many, one)
        } else {
            (one, many)
        };
        let tree = self.word(tree.text("(").child(left).text(")"), op, wanted, false);
        tree.text("on (job, instance) ")
            .has("on")
            .text(format!("{group} "))
            .maybe(format!("({include}) "))
            .has(group)
            .text("(")
            .child(right)
            .text(")")
    }

    /// Operands that do not cover each other, with values for what is missing.
    pub(crate) fn filled(&mut self, op: &'static str, fill: &'static str) -> Tree {
        let sides = [
            "job=\"api\"",
            "job!=\"db\"",
            "instance=~\".*-[135]:.*\"",
            "job=~\"web|db\"",
        ];
        let metrics = [
            "memory_bytes",
            "up",
            "queue_depth{queue=\"mail\"}",
            "request_duration_seconds_count",
        ];
        let side = |grammar: &Self| {
            let (metric, matcher) = (grammar.random.pick(&metrics), grammar.random.pick(&sides));
            let selector = match metric.strip_suffix('}') {
                Some(open) => format!("{open}, {matcher}}}"),
                None => format!("{metric}{{{matcher}}}"),
            };
            Tree::leaf(Kind::Vector, format!("sum by (job, instance) ({selector})"))
                .has("sum")
                .has("by")
        };
        let value = self.random.pick(&["0", "1", "-2.5", "100", "NaN", "+Inf"]);
        let tree = Tree::new(Kind::Vector).child(side(self));
        let mut tree = self.word(tree, op, None, false);
        match self.random.below(4) {
            0 => tree = tree.maybe("on (job, instance) ").has("on"),
            1 => {
                let more = Tree::leaf(Kind::Vector, "queue_depth{job!=\"api\"}");
                let tree = Tree::new(Kind::Vector).child(more);
                let tree = self.word(tree, op, None, false);
                return tree
                    .text("on (job, instance) group_left ")
                    .text(format!("{fill}({value}) "))
                    .child(side(self))
                    .has("on")
                    .has("group_left")
                    .has(fill);
            }
            _ => {}
        }
        tree = tree.text(format!("{fill}({value}) ")).has(fill);
        if fill == "fill_left" && self.random.chance(30) {
            tree = tree.maybe("fill_right(7) ").has("fill_right");
        }
        tree.child(side(self))
    }

    fn set(&mut self, op: &'static str, depth: usize) -> Tree {
        let tree = Tree::new(Kind::Vector);
        let (left, right) = match self.random.below(3) {
            0 => (self.vector(depth), self.vector(depth)),
            1 => (self.by_more(), self.by_target()),
            _ => (self.by_target(), self.by_target()),
        };
        let tree = tree.text("(").child(left).text(format!(") {op} ")).has(op);
        let tree = match self.random.below(3) {
            0 => tree.maybe("on (job) ").has("on"),
            1 => tree.maybe("ignoring (code, instance) ").has("ignoring"),
            _ => tree,
        };
        tree.text("(").child(right).text(")")
    }
}
