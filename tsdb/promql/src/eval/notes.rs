//! Warnings and infos about a query, in Prometheus' words (`util/annotations`).

use crate::functions::number::format_g;
use crate::syntax::ast::Span;
use leadline_model::Timestamp;
use leadline_model::quote::Quoted;
use rapidhash::RapidHashMap;

/// How serious a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// The answer may be wrong.
    Warning,
    /// The answer may not mean what was intended.
    Info,
}

#[derive(Debug)]
struct Note {
    severity: Severity,
    text: String,
    span: Span,
}

/// Buckets that were not cumulative and had to be repaired.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    /// The metric.
    pub(crate) metric: String,
    /// The argument with the buckets.
    pub(crate) span: Span,
    /// First and last evaluation time, ms.
    pub(crate) times: (Timestamp, Timestamp),
    /// Smallest and largest repaired bound.
    pub(crate) bounds: (f64, f64),
    /// Largest difference that was removed.
    pub(crate) max_diff: f64,
    /// How many evaluations needed it.
    pub(crate) count: usize,
}

/// The notes of one query; equal texts are kept once, with the place of the last.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    notes: Vec<Note>,
    /// Where each text is among them.
    known: RapidHashMap<(Severity, String), usize>,
    repairs: Vec<Repair>,
    /// Where each metric's repair is.
    repaired: RapidHashMap<String, usize>,
}

impl Notes {
    /// Adds a warning.
    pub(crate) fn warn(&mut self, span: Span, text: String) {
        self.add(Severity::Warning, span, text);
    }

    /// Adds an info.
    pub(crate) fn info(&mut self, span: Span, text: String) {
        self.add(Severity::Info, span, text);
    }

    fn add(&mut self, severity: Severity, span: Span, text: String) {
        let next = self.notes.len();
        let at = *self.known.entry((severity, text.clone())).or_insert(next);
        match self.notes.get_mut(at) {
            Some(note) => note.span = span,
            None => self.notes.push(Note { severity, text, span }),
        }
    }

    /// A quantile outside of 0..=1.
    pub(crate) fn check_quantile(&mut self, q: f64, span: Span) {
        if !(0.0..=1.0).contains(&q) {
            self.warn(
                span,
                format!("quantile value should be between 0 and 1, got {}", format_g(q)),
            );
        }
    }

    /// Buckets that were repaired; those of one metric are told together.
    pub(crate) fn repaired(&mut self, new: Repair) {
        let next = self.repairs.len();
        let at = *self.repaired.entry(new.metric.clone()).or_insert(next);
        match self.repairs.get_mut(at) {
            None => self.repairs.push(new),
            Some(old) => {
                old.times = (old.times.0.min(new.times.0), old.times.1.max(new.times.1));
                old.bounds = (old.bounds.0.min(new.bounds.0), old.bounds.1.max(new.bounds.1));
                old.max_diff = old.max_diff.max(new.max_diff);
                old.count += new.count;
            }
        }
    }

    /// (warnings, infos) with their places in `text`.
    pub(crate) fn render(&self, text: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for note in &self.notes {
            let place = place(text, note.span);
            match note.severity {
                Severity::Warning => warnings.push(format!("PromQL warning: {} ({place})", note.text)),
                Severity::Info => infos.push(format!("PromQL info: {} ({place})", note.text)),
            }
        }
        infos.extend(self.repairs.iter().map(|r| render_repair(r, text)));
        (warnings, infos)
    }
}

fn render_repair(r: &Repair, text: &str) -> String {
    let metric = if r.metric.is_empty() {
        String::new()
    } else {
        format!(" for metric name {}", Quoted(&r.metric))
    };
    format!(
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
         https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){metric}, from buckets {} \
         to {}, with a max diff of {}, over {} samples from {} to {} ({})",
        format_g(r.bounds.0),
        format_g(r.bounds.1),
        crate::functions::number::format_g2(r.max_diff),
        r.count,
        crate::functions::calendar::rfc3339(r.times.0),
        crate::functions::calendar::rfc3339(r.times.1),
        place(text, r.span),
    )
}

/// `line:column` of a span's start, both from 1, the column in bytes.
fn place(text: &str, span: Span) -> String {
    let before = &text.as_bytes()[..text.len().min(span.start as usize)];
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1) + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_told_once_with_its_line_and_column() {
        let mut notes = Notes::default();
        notes.check_quantile(0.5, Span { start: 0, end: 1 });
        notes.check_quantile(1.5, Span { start: 6, end: 7 });
        notes.check_quantile(1.5, Span { start: 9, end: 10 });
        let (warnings, infos) = notes.render("a +\n  b + c");
        assert_eq!(
            warnings,
            ["PromQL warning: quantile value should be between 0 and 1, got 1.5 (2:6)"]
        );
        assert!(infos.is_empty());
    }

    #[test]
    fn repairs_of_one_metric_are_told_together() {
        let repair = |t, bounds, diff| Repair {
            metric: "m".into(),
            span: Span { start: 20, end: 21 },
            times: (t, t),
            bounds,
            max_diff: diff,
            count: 1,
        };
        let mut notes = Notes::default();
        notes.repaired(repair(60_000, (0.1, 0.2), 1.0));
        notes.repaired(repair(0, (0.2, 5.0), 12.345));
        let infos = notes.render(&" ".repeat(30)).1;
        assert_eq!(infos.len(), 1);
        let tail = "for metric name \"m\", from buckets 0.1 to 5, with a max diff of 12, over 2 samples from \
                    1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:21)";
        assert!(infos[0].ends_with(tail), "{}", infos[0]);
    }
}
