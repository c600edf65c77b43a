//! What a target says about its metric families: its `# HELP` and `# TYPE` lines.
//!
//! They are the same at every scrape nearly always. A scrape hashes them as they come by and keeps nothing; only when the
//! hash is another than that of the scrape before is the body read once more for them.

use leadline_exposition::{Event, Kind, Parser};
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_model::target::Families;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many scrapes a family stays that is not told of any more (`scrape/scrape.go`, `scrapeCache.iterDone`).
const KEPT: u8 = 10;
/// The most families that stay so, of one target.
const MOST_KEPT: usize = 1_000;

/// Follows the comments of one target's scrapes.
#[derive(Debug)]
pub(crate) struct Comments {
    secrets: RapidSecrets,
    running: u64,
    /// That of the last good scrape; `None` before there was one.
    last: Option<u64>,
    current: Families,
    /// Families that are not told of any more, with the scrapes that they stay.
    gone: BTreeMap<Arc<str>, (Metadata, u8)>,
}

impl Comments {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            secrets: RapidSecrets::seed(seed),
            running: 0,
            last: None,
            current: Families::default(),
            gone: BTreeMap::new(),
        }
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.running = 0;
    }

    /// A comment went by.
    #[inline]
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Help { metric, text } => {
                self.mix(metric);
                self.mix(text.as_bytes());
            }
            Event::Type { metric, kind } => {
                self.mix(metric);
                self.running ^= *kind as u64 + 1;
            }
            Event::Sample { .. } => {}
        }
    }

    #[inline]
    fn mix(&mut self, bytes: &[u8]) {
        let hash = rapidhash_v3_seeded(bytes, &self.secrets);
        self.running = (self.running.rotate_left(23) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Ends a good scrape of `body`. Returns what the target says, where that has changed.
    pub(crate) fn end(&mut self, body: &[u8]) -> Option<Families> {
        let mut changed = self.last.replace(self.running) != Some(self.running);
        if changed {
            let said = families(body);
            for (family, metadata) in self.current.iter().filter(|(family, _)| !said.contains_key(*family)) {
                if self.gone.len() < MOST_KEPT {
                    // The scrape that lacks it first counts too.
                    self.gone.insert(Arc::clone(family), (metadata.clone(), KEPT + 1));
                }
            }
            self.gone.retain(|family, _| !said.contains_key(family));
            self.current = Arc::new(said);
        }
        self.gone.retain(|_, (_, left)| {
            *left -= 1;
            changed |= *left == 0;
            *left > 0
        });
        changed.then(|| self.told())
    }

    /// What the last good scrape said of a family.
    pub(crate) fn said(&self, family: &str) -> Option<&Metadata> {
        self.current.get(family)
    }

    fn told(&self) -> Families {
        if self.gone.is_empty() {
            return Arc::clone(&self.current);
        }
        let gone = self
            .gone
            .iter()
            .map(|(family, (metadata, _))| (family.clone(), metadata.clone()));
        let current = self
            .current
            .iter()
            .map(|(family, metadata)| (family.clone(), metadata.clone()));
        Arc::new(current.chain(gone).collect())
    }

    /// The same as the target that said it before; so that both are kept once.
    pub(crate) fn share(&mut self, kept: Families) {
        if *kept == *self.current {
            self.current = kept;
        }
    }
}

/// What the comments of a body say, of each family the last.
fn families(body: &[u8]) -> BTreeMap<Arc<str>, Metadata> {
    let mut all: BTreeMap<Arc<str>, Metadata> = BTreeMap::new();
    let mut parser = Parser::new(body);
    // The body was read before; what is wrong with it would have been found then.
    while let Ok(Some(event)) = parser.next_event() {
        let (metric, kind, help) = match event {
            Event::Help { metric, text } => (metric, None, Some(unescaped(text))),
            Event::Type { metric, kind } => (metric, Some(metric_kind(kind)), None),
            Event::Sample { .. } => continue,
        };
        let family = all.entry(Arc::from(&*String::from_utf8_lossy(metric))).or_default();
        if let Some(kind) = kind {
            family.kind = kind;
        }
        if let Some(help) = help {
            family.help = help;
        }
    }
    all
}

pub(crate) fn metric_kind(kind: Kind) -> MetricKind {
    match kind {
        Kind::Counter => MetricKind::Counter,
        Kind::Gauge => MetricKind::Gauge,
        Kind::Histogram => MetricKind::Histogram,
        Kind::Summary => MetricKind::Summary,
        Kind::Untyped => MetricKind::Unknown,
    }
}

/// A help text without its escapes: a backslash and a line feed have one.
pub(crate) fn unescaped(text: &str) -> Arc<str> {
    if !text.contains('\\') {
        return Arc::from(text);
    }
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('\\')) => plain.push('\\'),
            (c, _) => {
                plain.push(c);
                continue;
            }
        }
        rest.next();
    }
    Arc::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(comments: &mut Comments, body: &str) -> Option<Vec<String>> {
        comments.begin();
        let mut parser = Parser::new(body.as_bytes());
        while let Some(event) = parser.next_event().unwrap() {
            comments.note(&event);
        }
        let told = comments.end(body.as_bytes())?;
        let line = |(family, m): (&Arc<str>, &Metadata)| format!("{family} {} {}", m.kind.as_str(), m.help);
        Some(told.iter().map(line).collect())
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut comments = Comments::new(1);
        let page = "# HELP b It \\\\ is\\nb \\x\n# TYPE b counter\nb 1\n# TYPE a untyped\na 2\n";
        let told = ["a unknown ", "b counter It \\ is\nb \\x"].map(str::to_owned).to_vec();
        assert_eq!(scrape(&mut comments, page), Some(told));
        assert_eq!(
            scrape(&mut comments, &page.replace("b 1", "b 7")),
            None,
            "values do not count"
        );
        for (from, to) in [
            ("TYPE b counter", "TYPE b gauge"),
            ("HELP b It", "HELP b This"),
            ("TYPE a", "TYPE c"),
        ] {
            let changed = page.replace(from, to);
            assert!(scrape(&mut comments, &changed).is_some(), "{to}");
            assert_eq!(scrape(&mut comments, &changed), None, "{to}");
        }
    }

    #[test]
    fn a_family_stays_for_ten_scrapes_behind_its_last() {
        let mut comments = Comments::new(1);
        let (both, one) = ("# TYPE a gauge\n# TYPE b gauge\n", "# TYPE a gauge\n");
        let told = |names: &[&str]| Some(names.iter().map(|n| format!("{n} gauge ")).collect::<Vec<_>>());
        assert_eq!(scrape(&mut comments, both), told(&["a", "b"]));
        for n in 0..9 {
            assert_eq!(
                scrape(&mut comments, one),
                (n == 0).then(|| told(&["a", "b"])).flatten(),
                "{n}"
            );
        }
        assert_eq!(scrape(&mut comments, both), told(&["a", "b"]));
        for n in 0..10 {
            assert_eq!(
                scrape(&mut comments, one),
                (n == 0).then(|| told(&["a", "b"])).flatten(),
                "{n}"
            );
        }
        assert_eq!(scrape(&mut comments, one), told(&["a"]));
        assert_eq!(scrape(&mut comments, ""), told(&["a"]));
    }
}
