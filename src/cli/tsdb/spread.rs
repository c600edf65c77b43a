//! How sizes spread: the text histograms of `leadline tsdb analyze --extended`.

use super::Failure;
use leadline_model::histogram::AnyHistogram;
use leadline_storage::chunk::{decode_histograms, sample_count};
use leadline_storage::source::SourceChunk;
use std::io::Write;

/// Sizes of the chunks of a block.
#[derive(Debug, Default)]
pub(super) struct Spreads {
    chunks: u64,
    float_samples: Vec<u64>,
    float_bytes: Vec<u64>,
    histogram_samples: Vec<u64>,
    histogram_bytes: Vec<u64>,
    histogram_buckets: Vec<u64>,
}

impl Spreads {
    /// Counts one chunk.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub(super) fn add(&mut self, chunk: &SourceChunk) -> Result<(), Failure> {
        let samples = u64::from(sample_count(chunk.encoding, &chunk.data));
        let bytes = chunk.data.len() as u64;
        self.chunks += 1;
        if chunk.encoding.is_float() {
            self.float_samples.push(samples);
            self.float_bytes.push(bytes);
            return Ok(());
        }
        let mut histograms = Vec::new();
        decode_histograms(chunk.encoding, &chunk.data, i64::MIN, i64::MAX, &mut histograms)?;
        let buckets = histograms.iter().map(|sample| match &sample.h {
            AnyHistogram::Int(h) => h.positive_buckets.len() + h.negative_buckets.len(),
            AnyHistogram::Float(h) => h.positive_buckets.len() + h.negative_buckets.len(),
        });
        self.histogram_buckets.push(buckets.sum::<usize>() as u64);
        self.histogram_samples.push(samples);
        self.histogram_bytes.push(bytes);
        Ok(())
    }

    /// Prints all of them.
    ///
    /// # Errors
    /// Writing failed.
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "\nCompaction analysis:\n")?;
        for (title, sizes) in [
            ("samples per float chunk", self.float_samples),
            ("bytes per float chunk", self.float_bytes),
            ("samples per histogram chunk", self.histogram_samples),
            ("bytes per histogram chunk", self.histogram_bytes),
            ("buckets per histogram chunk", self.histogram_buckets),
        ] {
            write_spread(out, title, &sizes, self.chunks)?;
        }
        Ok(())
    }
}

/// Least, average and most, and a bar per range of sizes; `total` is what a full bar stands for.
fn write_spread(out: &mut dyn Write, title: &str, sizes: &[u64], total: u64) -> Result<(), Failure> {
    let (Some(&least), Some(&most)) = (sizes.iter().min(), sizes.iter().max()) else {
        return Ok(writeln!(out, "{title}: N/A\n")?);
    };
    let average = sizes.iter().sum::<u64>() / sizes.len() as u64;
    writeln!(out, "{title} (min/avg/max): {least}/{average}/{most}")?;
    let step = step(most - least);
    let (start, end) = (least - least % step, most - most % step + step);
    let mut counts = vec![0u64; usize::try_from((end - start) / step + 1)?];
    for size in sizes {
        let range = usize::try_from((size - start) / step)?;
        if let Some(count) = counts.get_mut(range) {
            *count += 1;
        }
    }
    let digits = |n: u64| n.to_string().len();
    let (left, right) = (digits(end), digits(end + step));
    let wide = digits(counts.iter().copied().max().unwrap_or(0));
    for (from, count) in (start..).step_by(usize::try_from(step)?).zip(counts) {
        let bar = "#".repeat(usize::try_from(100 * count / total.max(1))?);
        // The ends are upstream's: one above those of the sizes that are counted.
        writeln!(out, "[{:left$}, {:right$}]: {count:wide$} {bar}", from + 1, from + step)?;
    }
    Ok(writeln!(out)?)
}

/// The width of a range: a power of ten that makes about ten of them.
fn step(span: u64) -> u64 {
    let mut step = 10;
    while step < span / 10 && step <= 10_000 {
        step *= 10;
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_looks_as_promtool_prints_it() {
        let sizes: Vec<u64> = std::iter::repeat_n(4, 12)
            .chain(std::iter::repeat_n(20, 1215))
            .collect();
        let mut out = Vec::new();
        write_spread(&mut out, "samples per float chunk", &sizes, 1227).unwrap();
        let bar = "#".repeat(99);
        let expected = format!(
            "samples per float chunk (min/avg/max): 4/19/20\n[ 1, 10]:   12 \n[11, 20]:    0 \n[21, 30]: 1215 {bar}\n[31, 40]:    0 \n\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
