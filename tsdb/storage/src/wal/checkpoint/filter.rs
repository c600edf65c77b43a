//! Decides what of a record goes into a checkpoint.

use super::Kept;
use super::batch::Batch;
use super::latest::LatestMetadata;
use crate::codec::Malformed;
use crate::wal::record::{
    ExemplarIter, ExemplarsEncoder, HistogramIter, HistogramsEncoder, MetadataIter, Record, SampleIter, SamplesEncoder,
    SeriesIter, TombstoneIter, encode_series, encode_tombstones,
};
use leadline_model::sample::Timestamp;

/// Takes records in and gives those parts out that are still needed.
pub(super) struct Filter<'k> {
    pub(super) keep: &'k dyn Fn(u64) -> bool,
    pub(super) held: &'k dyn Fn(u64) -> u64,
    pub(super) mint: Timestamp,
    pub(super) kept: Kept,
    pub(super) metadata: LatestMetadata,
}

impl Filter<'_> {
    /// Appends to `out` what is needed of a record: all of it as it is, new records of a part of it, or nothing.
    pub(super) fn pass(&mut self, record: &[u8], out: &mut Batch) -> Result<(), Malformed> {
        match Record::parse(record)? {
            Record::Series(entries) => self.series(record, entries, out),
            Record::Samples(entries) => self.samples(record, entries, out),
            Record::Tombstones(entries) => self.tombstones(record, entries, out),
            Record::Exemplars(entries) => self.exemplars(record, entries, out),
            Record::Metadata(entries) => self.metadata(entries),
            Record::Histograms(histograms) => self.histograms(record, histograms, out),
            // The time of the checkpoint before is in the new one's; markers belong to the out-of-order log, which has
            // no checkpoints; what is not known is refused before.
            Record::MinValidTime(_) | Record::MmapMarkers(_) | Record::Unknown(_) => Ok(()),
        }
    }

    fn series(&mut self, record: &[u8], entries: SeriesIter<'_>, out: &mut Batch) -> Result<(), Malformed> {
        let (kept, dropped) = count(entries.clone(), |e| (self.keep)(e.series))?;
        self.kept.series += kept;
        self.kept.series_dropped += dropped;
        if dropped == 0 {
            out.push(record);
            return Ok(());
        }
        let some: Vec<_> = entries
            .flatten()
            .filter(|e| (self.keep)(e.series))
            .map(|e| (e.series, e.labels.to_labels()))
            .collect();
        out.append(|out| encode_series(out, some.iter().map(|(series, labels)| (*series, labels))));
        Ok(())
    }

    fn samples(&mut self, record: &[u8], entries: SampleIter<'_>, out: &mut Batch) -> Result<(), Malformed> {
        let mint = self.mint;
        let (kept, dropped) = count(entries.clone(), |e| e.t >= mint)?;
        self.kept.samples += kept;
        self.kept.samples_dropped += dropped;
        if dropped == 0 {
            out.push(record);
            return Ok(());
        }
        let mut encoder = SamplesEncoder::default();
        out.append(|out| {
            for e in entries.flatten().filter(|e| e.t >= mint) {
                encoder.push(out, e.series, e.t, e.v);
            }
        });
        Ok(())
    }

    fn tombstones(&mut self, record: &[u8], entries: TombstoneIter<'_>, out: &mut Batch) -> Result<(), Malformed> {
        let needed = |series, maxt| maxt >= self.mint && (self.keep)(series);
        let (kept, dropped) = count(entries.clone(), |e| needed(e.series, e.interval.maxt))?;
        self.kept.tombstones += kept;
        self.kept.tombstones_dropped += dropped;
        if dropped == 0 {
            out.push(record);
            return Ok(());
        }
        let some = entries.flatten().filter(|e| needed(e.series, e.interval.maxt));
        out.append(|out| encode_tombstones(out, some.map(|e| (e.series, e.interval))));
        Ok(())
    }

    fn exemplars(&mut self, record: &[u8], entries: ExemplarIter<'_>, out: &mut Batch) -> Result<(), Malformed> {
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::CheckpointDropsExemplars) {
            return Ok(());
        }
        let mint = self.mint;
        let (kept, dropped) = count(entries.clone(), |e| e.t >= mint)?;
        self.kept.exemplars += kept;
        self.kept.exemplars_dropped += dropped;
        if dropped == 0 {
            out.push(record);
            return Ok(());
        }
        let mut encoder = ExemplarsEncoder::default();
        out.append(|out| {
            for e in entries.flatten().filter(|e| e.t >= mint) {
                encoder.push(out, e.series, &e.to_exemplar());
            }
        });
        Ok(())
    }

    fn metadata(&mut self, entries: MetadataIter<'_>) -> Result<(), Malformed> {
        for entry in entries {
            let entry = entry?;
            let series = (self.held)(entry.series);
            if (self.keep)(series) {
                self.metadata.insert(series, &entry);
            }
        }
        Ok(())
    }

    fn histograms(&mut self, record: &[u8], entries: HistogramIter<'_>, out: &mut Batch) -> Result<(), Malformed> {
        let mint = self.mint;
        let (kept, dropped) = count(entries.clone(), |e| e.t >= mint)?;
        self.kept.histograms += kept;
        self.kept.histograms_dropped += dropped;
        if dropped == 0 {
            out.push(record);
            return Ok(());
        }
        // Those with bounds of their own go into a record of theirs, which other types may hold among the others.
        let mut encoder = HistogramsEncoder::default();
        for e in entries.flatten().filter(|e| e.t >= mint) {
            encoder.push(e.series, e.t, &e.h);
        }
        encoder.records().for_each(|record| out.push(record));
        Ok(())
    }
}

/// How many entries are needed and how many are not.
fn count<T>(
    entries: impl Iterator<Item = Result<T, Malformed>>,
    needed: impl Fn(&T) -> bool,
) -> Result<(u64, u64), Malformed> {
    let (mut kept, mut dropped) = (0, 0);
    for entry in entries {
        if needed(&entry?) {
            kept += 1;
        } else {
            dropped += 1;
        }
    }
    Ok((kept, dropped))
}
