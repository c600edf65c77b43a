//! What is asked: an expression with its times.

use crate::data::{BEGIN, END};
use crate::grammar::Grammar;
use crate::random::Random;
use crate::tree::{Kind, Tree};
use std::fmt;

/// A request for an expression's value.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The expression.
    pub(crate) tree: Tree,
    /// First and last evaluation time, ms.
    pub(crate) times: (i64, i64),
    /// Time between two evaluations, ms; of an instant query none.
    pub(crate) step: Option<i64>,
    /// `lookback_delta`.
    pub(crate) lookback: Option<&'static str>,
}

impl Question {
    /// The question with this number, about `feature`.
    pub(crate) fn about(feature: &'static str, seed: u64, number: u64) -> Self {
        let mut grammar = Grammar::new(Random::new(seed, number));
        let tree = grammar.about(feature);
        let random = &grammar.random;
        let ranged = tree.kind != Kind::Matrix && random.chance(50);
        // From when there is something to look back at.
        let first = BEGIN + 900_000;
        let start = first + random.below((END - first) as usize) as i64;
        // On a second as a rule, on the grid of scrapes often.
        let start = match random.below(3) {
            0 => start,
            1 => start / 1000 * 1000,
            _ => start / 15_000 * 15_000,
        };
        let lookback = random.chance(5).then(|| random.pick(&["1m", "30", "10m", "14s"]));
        if !ranged {
            return Self {
                tree,
                times: (start, start),
                step: None,
                lookback,
            };
        }
        let step = random.pick(&[15_000, 30_000, 60_000, 7_000, 61_500, 300_000, 1_000]);
        let over = step * random.below(24) as i64;
        // The end is not always on a step.
        let over = if random.chance(30) { over + step / 3 } else { over };
        Self {
            tree,
            times: (start, (start + over).min(END + 300_000).max(start)),
            step: Some(step),
            lookback,
        }
    }

    /// Where it is asked.
    pub(crate) fn path(&self) -> &'static str {
        if self.step.is_some() {
            "/api/v1/query_range"
        } else {
            "/api/v1/query"
        }
    }

    /// Its parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let mut all = vec![("query", self.tree.to_string())];
        match self.step {
            Some(step) => all.extend([
                ("start", seconds(self.times.0)),
                ("end", seconds(self.times.1)),
                ("step", seconds(step)),
            ]),
            None => all.push(("time", seconds(self.times.0))),
        }
        all.extend(self.lookback.map(|text| ("lookback_delta", text.to_owned())));
        all
    }

    /// Questions that are simpler by one step.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        if self.lookback.is_some() {
            all.push(Self {
                lookback: None,
                ..self.clone()
            });
        }
        if let Some(step) = self.step {
            let (start, end) = self.times;
            let steps = (end - start) / step;
            // At one time alone, or in a shorter range.
            let times = (0..=steps.min(24)).map(|i| start + i * step);
            all.extend(times.map(|t| Self {
                step: None,
                times: (t, t),
                ..self.clone()
            }));
            if steps > 1 {
                let middle = start + steps / 2 * step;
                all.push(Self {
                    times: (start, middle),
                    ..self.clone()
                });
                all.push(Self {
                    times: (middle, end),
                    ..self.clone()
                });
                all.push(Self {
                    times: (start, start + step),
                    ..self.clone()
                });
            }
        }
        let roots = self.tree.simpler_roots().into_iter();
        let fits = |tree: &Tree| self.step.is_none() || matches!(tree.kind, Kind::Vector | Kind::Scalar);
        all.extend(roots.filter(fits).map(|tree| Self { tree, ..self.clone() }));
        all
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tree)?;
        for (name, value) in self.parameters().into_iter().skip(1) {
            write!(f, "  {name}={value}")?;
        }
        Ok(())
    }
}
