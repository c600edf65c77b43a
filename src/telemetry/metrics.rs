//! Our own metrics, in the text format that we scrape ourselves.

use std::fmt::Write;

/// A page of metrics being written (text format 0.0.4).
#[derive(Debug, Default)]
pub(crate) struct Page(String);

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Page {
    /// Content-Type of the page.
    pub(crate) const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// A family with one value.
    pub(crate) fn one(&mut self, kind: Kind, name: &str, help: &str, value: f64) {
        self.family(kind, name, help, &[], [([""; 0], value)]);
    }

    /// A family with one series per row; `labels` names what the rows' texts are.
    pub(crate) fn family<const N: usize, S: AsRef<str>>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[&str; N],
        rows: impl IntoIterator<Item = ([S; N], f64)>,
    ) {
        let pairs = |values: &[S; N]| -> Vec<(String, String)> {
            labels
                .iter()
                .zip(values)
                .map(|(label, value)| ((*label).to_owned(), value.as_ref().to_owned()))
                .collect()
        };
        self.labelled(
            kind,
            name,
            help,
            rows.into_iter().map(|(values, value)| (pairs(&values), value)),
        );
    }

    /// A family whose rows name their labels themselves.
    pub(crate) fn labelled(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Vec<(String, String)>, f64)>,
    ) {
        let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        for (labels, value) in rows {
            let pairs: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
                .collect();
            let braces = if pairs.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", pairs.join(","))
            };
            if value.is_infinite() {
                self.line(format_args!(
                    "{name}{braces} {}Inf",
                    if value > 0.0 { '+' } else { '-' }
                ));
            } else {
                self.line(format_args!("{name}{braces} {value}"));
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }

    /// The finished page.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What the kernel tells about this process (`proc(5)`); empty where there is no such file.
pub(crate) fn process(page: &mut Page) {
    let ticks = 100.0; // USER_HZ, which Linux fixes for user space
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        // Fields behind the command's name, which may hold blanks and stands in parentheses.
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0.0))
            .collect();
        if let (Some(user), Some(system), Some(pages)) = (fields.get(11), fields.get(12), fields.get(21)) {
            let cpu = (user + system) / ticks;
            page.one(
                Kind::Counter,
                "process_cpu_seconds_total",
                "CPU time this process used",
                cpu,
            );
            page.one(
                Kind::Gauge,
                "process_resident_memory_bytes",
                "memory this process holds",
                pages * 4096.0,
            );
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.one(
            Kind::Gauge,
            "process_open_fds",
            "open file descriptors",
            open.count() as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_text_format() {
        let mut page = Page::default();
        page.one(Kind::Gauge, "up", "whether", 1.0);
        page.family(
            Kind::Counter,
            "seen_total",
            "what",
            &["why"],
            [(["a\"b"], 2.5), (["c"], f64::INFINITY)],
        );
        assert_eq!(
            page.finish(),
            "# HELP up whether\n# TYPE up gauge\nup 1\n# HELP seen_total what\n# TYPE seen_total counter\n\
             seen_total{why=\"a\\\"b\"} 2.5\nseen_total{why=\"c\"} +Inf\n"
        );
    }
}
