//! One question to one system: its answer, and what each time of asking cost.

use super::digest::Digest;
use super::kept::Figures;
use super::questions::Question;
use super::scenario::Scenario;
use crate::client::Client;
use crate::error::BenchError;
use crate::latency::Latency;
use crate::process::Process;
use crate::stopwatch::Stopwatch;
use std::time::Duration;

/// A question and what was measured of it so far.
pub(super) struct Asked<'q> {
    question: &'q Question,
    path: String,
    /// How often it is asked in all.
    times: usize,
    answer: Digest,
    taken: Vec<Duration>,
    /// CPU seconds of the process meanwhile, and how many requests they were for.
    cpu: (f64, usize),
    /// Bytes.
    peak: f64,
}

impl<'q> Asked<'q> {
    /// Asks once, for the answer alone.
    pub(super) async fn first(
        client: &mut Client,
        question: &'q Question,
        scenario: &Scenario,
    ) -> Result<Self, BenchError> {
        let path = question.path(scenario.now());
        let (status, body) = client.get(&path).await?;
        if status != 200 {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(BenchError::Unexpected(format!("{}: {status}: {text}", question.name)));
        }
        Ok(Self {
            question,
            path,
            times: scenario.times(question.is_small()),
            answer: Digest::of(&body)?,
            taken: Vec::new(),
            cpu: (0.0, 0),
            peak: 0.0,
        })
    }

    /// Asks a part of the times.
    pub(super) fn again(&mut self, watch: &mut Stopwatch, process: &Process, passes: usize) -> Result<(), BenchError> {
        process.forget_peak()?;
        let before = process.cpu()?;
        let n = self.times.div_ceil(passes);
        self.taken.extend(watch.time(&self.path, n)?);
        self.cpu.0 += process.cpu()? - before;
        // A tenth more is asked to warm up.
        self.cpu.1 += n + n / 10;
        self.peak = self.peak.max(process.peak_rss()?);
        Ok(())
    }

    /// What it cost.
    pub(super) fn figures(self) -> Figures {
        let latency = Latency::of(self.taken);
        Figures {
            question: self.question.name.clone(),
            p50: latency.ms(0.5),
            p99: latency.ms(0.99),
            cpu: self.cpu.0 * 1_000.0 / self.cpu.1 as f64,
            peak: self.peak,
            answer: self.answer,
        }
    }
}
