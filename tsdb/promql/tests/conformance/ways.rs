//! Prometheus' scripts on the ways that queries of a default configuration take: without start times, which are read series
//! by series, aggregations are answered from groups of the store.

use crate::run::{self, Report};
use crate::{name_of, read_pinned};
use leadline_promql::syntax::Features;
use libtest_mimic::Failed;
use std::path::PathBuf;

/// One way.
pub(crate) struct Way {
    /// The trial's name.
    pub(crate) name: &'static str,
    features: Features,
    /// At least so many aggregations are answered from groups of the store.
    streamed: u64,
    /// Evaluations of series that have start times.
    outside: usize,
    /// The lines of evaluations with another answer, by file: only these may fail, and all of them do.
    others: &'static [(&'static str, &'static [usize])],
}

/// The ways.
pub(crate) const WAYS: &[Way] = &[
    Way {
        name: "all files without start times",
        features: Features {
            delayed_name_removal: true,
            ..Features::LANGUAGE
        },
        streamed: 2000,
        outside: 26,
        others: &[],
    },
    Way {
        name: "all files with names that go at once",
        features: Features::LANGUAGE,
        streamed: 1950,
        outside: 26,
        others: &[
            // Warnings and infos about a result without a name do not tell it.
            (
                "histograms",
                &[1158, 1163, 1168, 1179, 1184, 1189, 1200, 1205, 1210, 1223, 1228, 1233],
            ),
            // The file is about names that go late.
            ("name_label_dropping", &[59, 64, 69, 74, 89, 115, 119, 123]),
            // As of `histograms`.
            (
                "native_histograms",
                &[
                    1616, 1621, 1626, 1631, 1635, 1639, 1644, 1648, 1653, 1908, 1911, 1914, 1917,
                ],
            ),
        ],
    },
];

impl Way {
    /// Runs all `files`.
    pub(crate) fn pass(&self, files: &[PathBuf]) -> Result<(), Failed> {
        let (mut all, mut wrong) = (Report::default(), Vec::new());
        for path in files {
            let name = name_of(path);
            let report = run::run_with(&read_pinned(path)?, self.features)?;
            let others = self.others.iter().find(|(file, _)| *file == name);
            if others.map_or(&[][..], |(_, lines)| lines) != report.failed_lines {
                let lines = &report.failed_lines;
                wrong.push(format!(
                    "{name}.test: {lines:?} have other answers\n{}",
                    report.failed.join("\n")
                ));
            }
            all.add(report);
        }
        all.print(self.name);
        println!(
            "conformance: {}: {} aggregations from groups of the store",
            self.name, all.streamed
        );
        if !wrong.is_empty() {
            return Err(wrong.join("\n").into());
        }
        if all.streamed < self.streamed || all.outside != self.outside {
            let (streamed, outside) = (all.streamed, all.outside);
            return Err(
                format!("{streamed} aggregations from groups of the store, {outside} evaluations outside").into(),
            );
        }
        Ok(())
    }
}
