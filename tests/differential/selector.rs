//! Selectors: what is in the data, with matchers and modifiers.

use crate::data::{BEGIN, END};
use crate::grammar::Grammar;
use crate::tree::{Kind, Tree};

/// What is in the data, by what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Floats that only grow.
    Counter,
    /// Floats.
    Gauge,
    /// Native histograms.
    Native,
    /// Classic buckets.
    Bucket,
    /// Any of these, and series of both.
    Any,
}

const COUNTERS: &[&str] = &[
    "http_requests_total",
    "cpu_seconds_total",
    "request_duration_seconds_count",
    "irregular_total",
];
const GAUGES: &[&str] = &[
    "memory_bytes",
    "temperature_celsius",
    "queue_depth",
    "up",
    "sparse",
    "build_info",
];
const NATIVE: &[&str] = &["latency_seconds", "latency_seconds", "size_bytes", "load_distribution"];
const OTHER: &[&str] = &["mixed", "once", "huge", "request_duration_seconds_sum"];
const BUCKET: &str = "request_duration_seconds_bucket";

/// Matchers of the labels that every target has.
const MATCHERS: &[(&str, &str)] = &[
    ("job=\"api\"", ""),
    ("job!=\"api\"", ""),
    ("job=~\"api|db\"", "=~"),
    ("job=~\"w.b\"", "=~"),
    ("job=~\".+\"", "=~"),
    ("instance=~\"(api|web)-[0-3].*\"", "=~"),
    ("instance=~\"(?i:API).*\"", "=~"),
    ("job!~\"db|odd\"", "!~"),
    ("instance!~\".*-(1|4):9090\"", "!~"),
    ("instance!~\"api.*\"", "!~"),
    ("missing=\"\"", ""),
];

/// Says what kind of metric an expression reads.
pub(crate) fn of_metric(tree: Tree, metric: &str) -> Tree {
    match metric {
        "mixed" => tree.has("native histogram"),
        "huge" => tree.has("extreme values"),
        "request_duration_seconds_sum" | BUCKET => tree.has("counter"),
        _ if COUNTERS.contains(&metric) => tree.has("counter"),
        _ if NATIVE.contains(&metric) => tree.has("native histogram"),
        _ => tree,
    }
}

/// Says whether a rate is taken of what is no counter.
pub(crate) fn of_rate(tree: Tree) -> Tree {
    let rate = tree.features.iter().any(|name| ["increase", "rate"].contains(name));
    let counter = tree.children().all(|range| range.features.contains(&"counter"));
    if rate && !counter {
        tree.has("rate of a gauge")
    } else {
        tree
    }
}

/// Says whether a length of time is written as a number.
pub(crate) fn of_length(tree: Tree, length: &str) -> Tree {
    if length.bytes().all(|byte| byte.is_ascii_digit()) && !length.is_empty() {
        return tree.has("number as duration");
    }
    tree
}

impl Grammar {
    /// A metric of this flavour.
    pub(crate) fn metric(&self, flavour: Flavour) -> &'static str {
        let random = &self.random;
        match flavour {
            Flavour::Counter => random.pick(COUNTERS),
            Flavour::Gauge => random.pick(GAUGES),
            Flavour::Native => random.pick(NATIVE),
            Flavour::Bucket => BUCKET,
            Flavour::Any => match random.below(10) {
                0..4 => random.pick(COUNTERS),
                4..7 => random.pick(GAUGES),
                7 | 8 => random.pick(NATIVE),
                _ => random.pick(OTHER),
            },
        }
    }

    /// A selector, with brackets where it is of ranges.
    pub(crate) fn selector(&mut self, flavour: Flavour, range: bool) -> Tree {
        let wanted = self.wanted.take();
        let kind = if range { Kind::Matrix } else { Kind::Vector };
        let mut tree = Tree::new(kind);
        if wanted == Some("utf-8 name") || (flavour == Flavour::Any && self.random.chance(2)) {
            tree = tree.text("{\"http.server.duration\"").has("utf-8 name");
            tree = match self.random.below(3) {
                0 => tree.maybe(", \"service.name\"=~\"gr.*\"").has("=~"),
                1 => tree.maybe(", job=\"odd\""),
                _ => tree,
            };
            tree = tree.text("}");
        } else {
            tree = self.named(tree, flavour, wanted);
        }
        if range {
            tree = self.range(tree, wanted);
        }
        self.modifiers(tree, wanted)
    }

    fn named(&self, tree: Tree, flavour: Flavour, wanted: Option<&'static str>) -> Tree {
        let metric = self.metric(flavour);
        let fits = |m: &&(&str, &'static str)| wanted.is_none_or(|w| w == m.1 || !["=~", "!~"].contains(&w));
        let matchers: Vec<_> = MATCHERS.iter().filter(fits).copied().collect();
        let matched = matches!(wanted, Some("=~" | "!~")) || self.random.chance(30);
        let (matcher, feature) = self.random.pick(&matchers);
        // Metrics of odd targets have other labels.
        let common = !["irregular_total", "sparse", "once", "huge", "mixed"].contains(&metric);
        let tree = of_metric(tree, metric);
        let mut tree = match self.random.below(12) {
            0 => tree.text(format!("{{__name__=\"{metric}\"")),
            1 => tree.text(format!("{{\"{metric}\"")).has("quoted name"),
            _ if matched && common => tree.text(format!("{metric}{{job!=\"\"")),
            _ => return tree.text(metric),
        };
        if matched && common {
            tree = tree.maybe(format!(", {matcher}"));
            if !feature.is_empty() {
                tree = tree.has(feature);
            }
        }
        tree.text("}")
    }

    fn range(&self, tree: Tree, wanted: Option<&'static str>) -> Tree {
        let plain = ["1m", "90s", "2m", "5m", "5m", "10m", "47s", "300", "1h", "2m30s500ms"];
        let computed = [
            "1m + 30s",
            "5m * 2 - 1m",
            "2 * (1m + 15s)",
            "10m / 2",
            "7m % 4m",
            "1m ^ 1.05",
        ];
        let stepped = [
            "max_of(step(), 2m)",
            "range() / 2 + 3m",
            "min_of(5m, 1h)",
            "step() + 1m",
        ];
        if wanted == Some("duration expression") || self.random.chance(6) {
            let pool = if self.random.chance(50) {
                &computed[..]
            } else {
                &stepped[..]
            };
            let text = self.random.pick(pool);
            return tree.text(format!("[{text}]")).has("duration expression");
        }
        let text = self.random.pick(&plain);
        of_length(tree.text(format!("[{text}]")), text)
    }

    /// `anchored`, `smoothed`, `offset` and `@`, in this order.
    fn modifiers(&self, mut tree: Tree, wanted: Option<&'static str>) -> Tree {
        let ranged = tree.kind == Kind::Matrix;
        match wanted {
            Some(word @ ("anchored" | "smoothed")) => tree = tree.text(format!(" {word}")).has(word),
            None if self.extended && self.random.chance(if ranged { 10 } else { 2 }) => {
                let word = if ranged {
                    self.random.pick(&["anchored", "smoothed"])
                } else {
                    "smoothed"
                };
                tree = tree.maybe(format!(" {word}")).has(word);
            }
            _ => {}
        }
        self.shifted(tree, wanted)
    }

    /// `offset` and `@`.
    pub(crate) fn shifted(&self, mut tree: Tree, wanted: Option<&'static str>) -> Tree {
        let is = |word| wanted == Some(word);
        let any = wanted.is_none();
        if is("offset") || (any && self.random.chance(7)) {
            let by = self.random.pick(&["1m", "5m", "17s", "10m30s", "90", "300ms"]);
            tree = of_length(tree.maybe(format!(" offset {by}")).has("offset"), by);
        } else if is("negative offset") || (any && self.random.chance(3)) {
            let by = self.random.pick(&["1m", "5m", "17s"]);
            tree = tree.maybe(format!(" offset -{by}")).has("negative offset");
        } else if is("duration expression") && tree.kind == Kind::Vector {
            let by = self
                .random
                .pick(&["(1m + 30s)", "-(2 * 20s)", "max_of(step(), 1m)", "(step() * 2)"]);
            tree = tree.maybe(format!(" offset {by}")).has("duration expression");
        }
        if is("@ time") || (any && self.random.chance(4)) {
            let at = BEGIN + self.random.below((END - BEGIN) as usize) as i64;
            let at = if self.random.chance(50) {
                at / 10 * 10 + 1
            } else {
                tree = tree.has("@ on the grid");
                at / 15_000 * 15_000
            };
            tree = tree.maybe(format!(" @ {}.{:03}", at / 1000, at % 1000)).has("@ time");
        } else if is("@ start()") || (any && self.random.chance(2)) {
            tree = tree.maybe(" @ start()").has("@ start()");
        } else if is("@ end()") || (any && self.random.chance(2)) {
            tree = tree.maybe(" @ end()").has("@ end()");
        }
        tree
    }
}
