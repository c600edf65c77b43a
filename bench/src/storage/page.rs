//! The metrics page of one target, rendered once: a scrape only overwrites the digits of the values that changed.

use std::io::Write;

/// Metric names per target; the other dimension is the label `path`.
pub(super) const NAMES: usize = 100;
/// Values keep their number of digits, so that one is written over the last.
const COUNTER_START: u64 = 10_000_000;
const MANTISSA: std::ops::Range<u64> = 1_000_000_000_000_000..10_000_000_000_000_000;
const CENTS: std::ops::Range<u64> = 1_000..10_000;

/// How the values of a metric move. Half of the names are counters, a quarter gauges that use the whole mantissa (the
/// hardest case for XOR), an eighth gauges of two decimals, an eighth never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Mantissa,
    Cents,
    Constant,
}

impl Kind {
    fn of(name: usize) -> Self {
        match name * 8 / NAMES {
            0..=3 => Self::Counter,
            4 | 5 => Self::Mantissa,
            6 => Self::Cents,
            _ => Self::Constant,
        }
    }

    fn suffix(self) -> (&'static str, &'static str) {
        match self {
            Self::Counter => ("_total", "counter"),
            Self::Mantissa => ("_ratio", "gauge"),
            Self::Cents => ("_celsius", "gauge"),
            Self::Constant => ("_limit", "gauge"),
        }
    }
}

struct Value {
    /// Where its digits begin.
    at: usize,
    kind: Kind,
    now: u64,
}

/// A page whose values move with every scrape, in the same way in every run.
pub(super) struct Page {
    target: usize,
    series: usize,
    generation: usize,
    text: Vec<u8>,
    values: Vec<Value>,
    random: u64,
}

impl Page {
    /// The page of target number `target` with `series` series, a multiple of [`NAMES`].
    pub(super) fn new(target: usize, series: usize) -> Self {
        let mut page = Self {
            target,
            series,
            generation: 0,
            text: Vec::new(),
            values: Vec::new(),
            random: (target as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        page.render();
        page
    }

    /// The next scrape's text, of the pod of `generation`: every series is another one when that changed.
    pub(super) fn scrape(&mut self, generation: usize) -> &[u8] {
        if generation != self.generation {
            self.generation = generation;
            self.render();
        } else {
            self.step();
        }
        &self.text
    }

    fn render(&mut self) {
        self.text.clear();
        self.values.clear();
        for name in 0..NAMES {
            let kind = Kind::of(name);
            let (suffix, class) = kind.suffix();
            self.line(&format!(
                "# HELP app_metric_{name:03}{suffix} A metric of the load.\n# TYPE app_metric_{name:03}{suffix} {class}\n"
            ));
            for path in 0..self.series / NAMES {
                self.line(&format!(
                    "app_metric_{name:03}{suffix}{{namespace=\"bench\",pod=\"app-{:04}-{}\",method=\"GET\",path=\"/api/{path:02}\"}} ",
                    self.target, self.generation
                ));
                let at = self.text.len();
                let now = self.first(kind);
                self.line(blank(kind));
                let value = Value { at, kind, now };
                value.write(&mut self.text);
                self.values.push(value);
            }
        }
    }

    fn line(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn first(&mut self, kind: Kind) -> u64 {
        let random = self.draw();
        match kind {
            Kind::Counter => COUNTER_START + random % COUNTER_START,
            Kind::Mantissa => MANTISSA.start + random % (MANTISSA.end - MANTISSA.start),
            Kind::Cents => CENTS.start + random % (CENTS.end - CENTS.start),
            Kind::Constant => 1,
        }
    }

    fn step(&mut self) {
        let mut random = self.random;
        for (n, value) in self.values.iter_mut().enumerate() {
            random = next(random);
            value.now = match value.kind {
                Kind::Counter => value.now + random % (n as u64 % 37 + 2),
                Kind::Mantissa => walk(value.now, random % 4_000_000_000_000, 2_000_000_000_000, &MANTISSA),
                Kind::Cents => walk(value.now, random % 19, 9, &CENTS),
                Kind::Constant => continue,
            };
            value.write(&mut self.text);
        }
        self.random = random;
    }

    fn draw(&mut self) -> u64 {
        self.random = next(self.random);
        self.random
    }
}

/// `now + up - down`, or `now` where that would leave `range`.
fn walk(now: u64, up: u64, down: u64, range: &std::ops::Range<u64>) -> u64 {
    let moved = (now + up).saturating_sub(down);
    if range.contains(&moved) { moved } else { now }
}

/// Xorshift: the load must cost little and be the same for every system, not be random.
fn next(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

/// The place of a value: as wide as every value of its kind.
fn blank(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "00000000\n",
        Kind::Mantissa => "0.000000000000000\n",
        Kind::Cents => "00.00\n",
        Kind::Constant => "1\n",
    }
}

impl Value {
    fn write(&self, text: &mut [u8]) {
        let Some(mut place) = text.get_mut(self.at..) else {
            return;
        };
        let written = match self.kind {
            Kind::Counter => write!(place, "{:08}", self.now),
            Kind::Mantissa => write!(place, "{}.{:015}", self.now / MANTISSA.start, self.now % MANTISSA.start),
            Kind::Cents => write!(place, "{:02}.{:02}", self.now / 100, self.now % 100),
            Kind::Constant => Ok(()),
        };
        debug_assert!(written.is_ok(), "the place is as wide as the value");
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Page};

    fn samples(text: &[u8]) -> Vec<(String, f64)> {
        let text = String::from_utf8(text.to_vec()).expect("the page is UTF-8");
        let lines = text.lines().filter(|l| !l.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                (series.to_owned(), value.parse().expect("a value is a number"))
            })
            .collect()
    }

    #[test]
    fn a_scrape_changes_values_and_nothing_else() {
        let mut page = Page::new(7, 2 * NAMES);
        let before = samples(page.scrape(0));
        for _ in 0..1000 {
            page.scrape(0);
        }
        let after = samples(page.scrape(0));
        assert_eq!(before.len(), 2 * NAMES);
        let mut moved = 0;
        for ((series, was), (same, is)) in before.iter().zip(&after) {
            assert_eq!(series, same);
            assert!(!series.contains("_total") || is >= was, "{series}: {was} {is}");
            moved += usize::from(is != was);
        }
        assert!(moved > NAMES, "{moved}");
    }

    #[test]
    fn a_rollout_replaces_every_series() {
        let mut page = Page::new(7, NAMES);
        let before = samples(page.scrape(0));
        let after = samples(page.scrape(1));
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(&after).all(|((a, _), (b, _))| a != b));
    }
}
