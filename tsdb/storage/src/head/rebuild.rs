//! Writing the log anew from memory, after records had to be dropped because the disk did not take them.

use super::Head;
use super::chunks_head::Files;
use super::durable::Durable;
use super::log::Records;
use super::out_of_order::{LateRecords, OutOfOrder, log_rest};
use super::series::{Closed, Data};
use super::stripe::{Stripe, make_ref, stripe_of};
use crate::chunk::{Encoding, decode, decode_histograms};
use crate::error::{ChunkError, StorageError};
use crate::points;
use crate::wal::record::{
    ExemplarsEncoder, HistogramsEncoder, SamplesEncoder, encode_metadata, encode_series, encode_tombstones,
};
use bytes::Bytes;
use leadline_model::port::SeriesRef;
use leadline_model::sample::{Samples, Timestamp};
use std::sync::atomic::Ordering;

/// Records of samples are ended when they have this many bytes; fewer where the store is tested.
const RECORD_BYTES: usize = if cfg!(feature = "planted") { 256 } else { 256 * 1024 };
/// Records are written when they have this many bytes; fewer where the store is tested.
const WRITE_BYTES: usize = if cfg!(feature = "planted") {
    1024
} else {
    4 * 1024 * 1024
};

/// What the log may lack of one stripe, copied while it was held.
pub(super) struct Copied {
    /// Series and deletions, encoded.
    records: Records,
    /// Series with their chunks, oldest first.
    chunks: Vec<(u64, Encoding, Data)>,
}

impl Head {
    /// Begins a new segment with all series that live, all deletions, and all samples but those of chunks that were mapped
    /// before anything can have been dropped. What older segments have of that is in the log twice then, which a replay
    /// does not mind. Stripe by stripe, commits reach the log again.
    ///
    /// Samples must not be left in mapped chunks alone: a replay gives these up where they are damaged, and where the log
    /// still knows their series by the reference that it had when it was in the head before.
    ///
    /// # Errors
    /// [`StorageError`]: the disk still fails; what was written is removed again if it can be, and the next call begins anew.
    pub(super) fn rebuild_log(&self, durable: &Durable) -> Result<(), StorageError> {
        let _one = self.tidying.lock();
        let now = self.clock.now();
        self.begin_logs(durable, now)?;
        for stripe in &self.stripes {
            stripe.write().logged = false;
        }
        durable.chunks.cut()?;
        durable.wal.mend();
        durable.wbl.mend();
        let written = self.write_all(durable, now);
        if written.is_err() {
            for log in [&durable.wal, &durable.wbl] {
                log.break_off();
                log.withdraw();
            }
        } else {
            durable.wal.is_anew();
            durable.wbl.is_anew();
            durable.all_is_logged(durable.chunks.end());
            durable.rebuilds.fetch_add(1, Ordering::Relaxed);
            tracing::info!("the write-ahead log was written anew from memory");
        }
        written
    }

    /// Begins both logs anew, as far as there are two: first one that is broken, because while the disk does not take it, the
    /// other is to go on as it is.
    fn begin_logs(&self, durable: &Durable, now: Timestamp) -> Result<(), StorageError> {
        let wal = || durable.wal.begin_anew(now);
        let wbl = || match self.window() > 0 || durable.wbl.is_broken() {
            true => durable.wbl.begin_anew(now),
            false => Ok(()),
        };
        match durable.wal.is_broken() {
            true => wal().and_then(|()| wbl()),
            false => wbl().and_then(|()| wal()),
        }
    }

    fn write_all(&self, durable: &Durable, now: Timestamp) -> Result<(), StorageError> {
        let files = durable.chunks.files();
        for (at, stripe) in self.stripes.iter().enumerate() {
            // Before the markers of these chunks: who reads those forgets samples that came before.
            let late = late_chunks(durable, at, &stripe.read());
            log_late(durable, &late, &files)?;
            durable.wbl.flush(now)?;
            let copied = {
                let mut stripe = stripe.write();
                stripe.logged = true;
                if !stripe.late.is_empty() {
                    log_rest(durable, at, &stripe, &OutOfOrder::default());
                }
                self.copy(at, &stripe, |chunk| durable.may_lack(chunk))
            };
            let read = |data: &Data| bytes_of(&files, data);
            write_stripe(copied, read, |records| durable.wal.write(now, records))?;
        }
        for log in [&durable.wal, &durable.wbl] {
            log.flush(now)?;
            log.sync(now)?;
        }
        Ok(())
    }

    /// What a log needs of a stripe: its series, deletions, exemplars and metadata, what is open, and of its closed chunks
    /// those that `lacking` picks.
    pub(super) fn copy(&self, at: usize, stripe: &Stripe, lacking: impl Fn(&Data) -> bool) -> Copied {
        let mut records = Records::default();
        {
            let index = self.index.read();
            let here = (0..index.universe() as u32).filter(|&id| stripe_of(index.series(id)) == at);
            for id in here.filter(|&id| super::stripe::number_of(index.series(id)).is_some()) {
                let mut record = Vec::new();
                encode_series(&mut record, [(index.series(id).0, &index.labels(id))]);
                records.push(&record);
            }
        }
        for (&number, deleted) in &stripe.deleted {
            let series = make_ref(at, number).0;
            let mut record = Vec::new();
            encode_tombstones(
                &mut record,
                deleted.as_slice().iter().map(|&interval| (series, interval)),
            );
            records.push(&record);
        }
        let mut chunks = Vec::new();
        for (row, &number) in stripe.numbers().iter().enumerate() {
            let series = make_ref(at, number).0;
            let closed = stripe.cold[row].closed.iter();
            let lacking = closed.filter(|chunk| lacking(&chunk.data));
            chunks.extend(lacking.map(|chunk| (series, chunk.encoding, chunk.data)));
            #[cfg(feature = "planted")]
            if crate::planted::on(crate::planted::Defect::RebuildWithoutOpenChunks) {
                continue;
            }
            let mut open = Vec::new();
            if stripe.hot[row].open.copy_to(&mut open) > 0 {
                chunks.push((series, Encoding::Xor, Data::Memory(open.into())));
            }
            let histograms = stripe.open_histograms(row);
            let histograms = histograms.and_then(|open| open.copy(Timestamp::MIN, Timestamp::MAX));
            chunks.extend(histograms.map(|chunk| (series, chunk.encoding, chunk.data)));
        }
        self.copy_extras(at, &mut records);
        Copied { records, chunks }
    }
}

impl Head {
    /// Exemplars and metadata of the series of a stripe. Their records end as those of samples do: one that is too long for
    /// the log would be refused at every attempt.
    fn copy_extras(&self, at: usize, records: &mut Records) {
        let here = |series: u64| stripe_of(SeriesRef(series)) == at;
        let mut record = Vec::new();
        let told = self.told.read();
        let (mut gathered, mut bytes) = (Vec::new(), 0);
        for (series, said) in told.sorted().into_iter().filter(|told| here(told.0)) {
            bytes += said.unit.len() + said.help.len();
            gathered.push((series, said));
            if bytes > RECORD_BYTES {
                encode_metadata(&mut record, gathered.drain(..));
                records.push(&record);
                record.clear();
                bytes = 0;
            }
        }
        encode_metadata(&mut record, gathered);
        records.push(&record);
        record.clear();
        let mut encoder = ExemplarsEncoder::default();
        for (series, exemplar) in self.exemplars.read().iter().filter(|e| here(e.0)) {
            encoder.push(&mut record, series, exemplar);
            if record.len() > RECORD_BYTES {
                records.push(&record);
                record.clear();
                encoder = ExemplarsEncoder::default();
            }
        }
        records.push(&record);
    }
}

/// Adds the histograms of a chunk to the records.
fn write_histograms(series: u64, encoding: Encoding, bytes: &[u8], records: &mut Records) {
    let (mut samples, mut encoder) = (Vec::new(), HistogramsEncoder::default());
    let decoded = decode_histograms(encoding, bytes, Timestamp::MIN, Timestamp::MAX, &mut samples);
    if !is_decoded(series, decoded) {
        return;
    }
    for sample in &samples {
        encoder.push(series, sample.t, &sample.h);
    }
    encoder.records().for_each(|record| records.push(record));
}

/// Whether a chunk can be decoded. One that cannot, cannot at the next attempt either: it is left out and told, or nothing
/// would ever reach the log again.
fn is_decoded(series: u64, decoded: Result<(), ChunkError>) -> bool {
    if let Err(error) = &decoded {
        tracing::error!(series, %error, "a chunk of the head is damaged and cannot be written to the log");
    }
    decoded.is_ok()
}

/// The bytes of a chunk; `None` for a mapped one that is damaged: [`Head::mend_mapped`], which is due then, tells what the
/// log lacks of it.
fn bytes_of(files: &Files, data: &Data) -> Result<Option<Bytes>, StorageError> {
    match files.bytes(data) {
        Err(error @ StorageError::Damaged(_)) => {
            tracing::error!(%error, "a mapped chunk is damaged and cannot be written to the log");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The mapped chunks of a stripe that came out of order and that the log may lack samples of.
fn late_chunks(durable: &Durable, at: usize, stripe: &Stripe) -> Vec<(SeriesRef, Closed)> {
    let lacking = stripe.late.iter().flat_map(|(&number, late)| {
        let mapped = late.chunks.iter().filter(|chunk| chunk.place().is_some());
        let lacking = mapped.filter(|chunk| durable.may_lack(&chunk.data));
        lacking.map(move |chunk| (make_ref(at, number), chunk.clone()))
    });
    lacking.collect()
}

/// Leaves the samples of mapped chunks that came out of order in their log.
fn log_late(durable: &Durable, chunks: &[(SeriesRef, Closed)], files: &Files) -> Result<(), StorageError> {
    let (mut records, mut samples) = (LateRecords::default(), Vec::new());
    for (series, chunk) in chunks {
        let Some(bytes) = bytes_of(files, &chunk.data)? else {
            continue;
        };
        samples.clear();
        let decoded = points::decode(chunk.encoding, &bytes, Timestamp::MIN, Timestamp::MAX, &mut samples);
        if !is_decoded(series.0, decoded) {
            continue;
        }
        for point in &samples {
            records.push(*series, point.t, &point.v);
        }
    }
    records.hand_over(&durable.wbl);
    Ok(())
}

/// Hands the records of a stripe to `write`, as many at a time as are written together. Chunks of which `read` has no bytes
/// are left out.
pub(super) fn write_stripe(
    copied: Copied,
    read: impl Fn(&Data) -> Result<Option<Bytes>, StorageError>,
    mut write: impl FnMut(&Records) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let Copied { mut records, chunks } = copied;
    let (mut record, mut encoder, mut samples) = (Vec::new(), SamplesEncoder::default(), Samples::default());
    for (series, encoding, data) in chunks {
        let Some(bytes) = read(&data)? else { continue };
        if !encoding.is_float() {
            // Behind the floats that come before them.
            records.push(&record);
            record.clear();
            encoder = SamplesEncoder::default();
            write_histograms(series, encoding, &bytes, &mut records);
        } else {
            samples.clear();
            if !is_decoded(
                series,
                decode(encoding, &bytes, Timestamp::MIN, Timestamp::MAX, &mut samples),
            ) {
                continue;
            }
            for (&t, &v) in samples.t.iter().zip(&samples.v) {
                encoder.push(&mut record, series, t, v);
            }
        }
        if record.len() > RECORD_BYTES {
            records.push(&record);
            record.clear();
            encoder = SamplesEncoder::default();
        }
        if records.len() > WRITE_BYTES {
            write(&records)?;
            records.clear();
        }
    }
    records.push(&record);
    write(&records)
}
