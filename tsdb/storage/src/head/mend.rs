//! Mapped chunks that are damaged, or that the disk does not read any more, while the head is in use.
//!
//! No block can be written of them, so nothing would ever be cut any more. The log has their samples until a block holds
//! them ([`super::chunks_head`]): chunks of what it has take their places, in memory and then in a new file. What it has not
//! (because it is damaged too, or had to drop records) is lost, and that is told.

use super::Head;
use super::chunks_head::{Ahead, Files};
use super::durable::Durable;
use super::salvage::{Ends, Salvage};
use super::series::Closed;
use super::stripe::{STRIPES, make_ref, number_of, stripe_of};
use crate::error::StorageError;
use crate::points::{self, Point, encode};
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use std::sync::atomic::Ordering;

/// So many samples at most are held while the log is read; it is read again for the next. Few where the store is tested.
const AT_ONCE: u64 = if cfg!(feature = "planted") { 500 } else { 2_000_000 };
/// A histogram takes the room of so many samples.
const HISTOGRAM: u64 = 64;
/// How many chunks are named one by one.
const NAMED: u64 = 20;
/// How many words of what is lost wait at most for who tells them.
const UNTOLD: usize = 200;

/// What became of mapped chunks that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// How many there were.
    pub chunks: u64,
    /// Samples of them that the log does not have either.
    pub lost_samples: u64,
    /// What is lost, in words: chunk by chunk, and how many samples where there are too many chunks to name.
    lost: Vec<String>,
}

/// A mapped chunk that cannot be read.
struct Bad {
    series: SeriesRef,
    chunk: Closed,
    place: u64,
    out_of_order: bool,
    why: StorageError,
}

impl Bad {
    fn weight(&self) -> u64 {
        let each = if self.chunk.encoding.is_float() { 1 } else { HISTOGRAM };
        u64::from(self.chunk.samples) * each
    }
}

impl Head {
    /// Whether somebody came upon a mapped chunk that is damaged, be it a query, so that [`Self::mend_mapped`] has something
    /// to do.
    #[must_use]
    pub fn needs_mending(&self) -> bool {
        let durable = self.durable.as_ref().filter(|durable| durable.is_writable());
        durable.is_some_and(|durable| durable.chunks.files().met_damage())
    }

    /// Reads all mapped chunks and puts in the place of those that are damaged what the log has of them. Who is not
    /// `patient` gives up also what the disk fails to read, in the files of chunks and in the log; that may have passed a
    /// moment later. What is lost is logged, counted in [`crate::Stats`] and told by [`Self::take_lost`].
    ///
    /// Not to be called between [`Self::out_of_order`] and [`Self::truncate_out_of_order`].
    ///
    /// # Errors
    /// [`StorageError::Io`] for who is patient: the log cannot be read; [`StorageError::Refused`]: the head is being closed.
    /// The chunks that were not reached stay as they are.
    pub fn mend_mapped(&self, patient: bool) -> Result<Mended, StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(Mended::default());
        };
        let _one = self.tidying.lock();
        self.mend(durable, patient)
    }

    /// [`Self::mend_mapped`], to be called while nobody else tidies.
    pub(super) fn mend(&self, durable: &Durable, patient: bool) -> Result<Mended, StorageError> {
        let mut mended = Mended::default();
        let outcome = self.mend_all(durable, patient, &mut mended);
        if outcome.is_ok() {
            durable.chunks.files().forget_damage();
        }
        // What was given up is, whatever became of the rest.
        self.tell_mended(durable, &mut mended);
        outcome.map(|()| mended)
    }

    /// What is lost of mapped chunks that could not be read, in words; of what was not told before.
    #[must_use]
    pub fn take_lost(&self) -> Vec<String> {
        let untold = self.durable.as_ref().map(|durable| &durable.untold);
        untold
            .map(|untold| std::mem::take(&mut *untold.lock()))
            .unwrap_or_default()
    }

    fn mend_all(&self, durable: &Durable, patient: bool, mended: &mut Mended) -> Result<(), StorageError> {
        let (mut waiting, mut weight) = (Vec::new(), 0);
        // What is mapped meanwhile is newer than what of the log is read, and sound.
        let (until, ends) = (durable.chunks.end(), Ends::default());
        for at in 0..STRIPES {
            self.go_on()?;
            let mut bad = self.find_bad(durable, at, patient);
            bad.retain(|bad| bad.place < until);
            weight += bad.iter().map(Bad::weight).sum::<u64>();
            waiting.extend(bad);
            if weight >= AT_ONCE || at + 1 == STRIPES {
                self.replace_bad(durable, &waiting, patient, (&ends, &mut *mended))?;
                (waiting, weight) = (Vec::new(), 0);
            }
        }
        Ok(())
    }

    /// Refuses to go on where the head is being closed, which waits for who tidies.
    fn go_on(&self) -> Result<(), StorageError> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(StorageError::closing()),
            false => Ok(()),
        }
    }

    /// The mapped chunks of a stripe that cannot be read.
    fn find_bad(&self, durable: &Durable, at: usize, patient: bool) -> Vec<Bad> {
        let (mut mapped, files) = {
            let stripe = self.stripes[at].read();
            let rows = stripe.numbers().iter().zip(&stripe.cold);
            let in_order = rows.flat_map(|(&number, cold)| cold.closed.iter().map(move |chunk| (number, chunk, false)));
            let late = stripe.late.iter();
            let late =
                late.flat_map(|(&number, late)| late.chunks.iter().map(move |chunk| (number, chunk.clone(), true)));
            let all = in_order.chain(late);
            let mapped: Vec<(u64, u32, Closed, bool)> = all
                .filter_map(|(number, chunk, late)| Some((chunk.place()?, number, chunk, late)))
                .collect();
            (mapped, durable.chunks.files())
        };
        mapped.sort_unstable_by_key(|(place, ..)| *place);
        let (mut ahead, mut scratch) = (Ahead::new(1), Vec::new());
        let bad = mapped.into_iter().filter_map(|(place, number, chunk, out_of_order)| {
            let why = check(&files, &mut ahead, &chunk, place, &mut scratch).err()?;
            let passes = patient && matches!(why, StorageError::Io { .. });
            (!passes).then_some(Bad {
                series: make_ref(at, number),
                chunk,
                place,
                out_of_order,
                why,
            })
        });
        bad.collect()
    }

    /// Puts in the place of chunks what the log has of them, as many at a time as there is room for.
    fn replace_bad(
        &self,
        durable: &Durable,
        bad: &[Bad],
        patient: bool,
        (ends, mended): (&Ends, &mut Mended),
    ) -> Result<(), StorageError> {
        let mut rest = bad;
        while !rest.is_empty() {
            self.go_on()?;
            let mut weight = 0;
            let fits = rest.iter().take_while(|bad| {
                weight += bad.weight();
                weight <= AT_ONCE
            });
            let (now, behind) = rest.split_at(fits.count().max(1));
            let (found, whole) = self.salvage(durable, now, patient, ends)?;
            for (bad, points) in now.iter().zip(found) {
                self.put_in_place(bad, &points);
                mended.note(bad, self.missing(durable, bad, points.len() as u64, whole));
            }
            self.map_mended(durable);
            rest = behind;
        }
        Ok(())
    }

    /// Writes away what was made of the log, so that memory has one batch of it. Late chunks stay for [`Self::map_chunks`]: of
    /// these the log is told, which may be shortened next.
    fn map_mended(&self, durable: &Durable) {
        durable.compare_with_log(self.clock.now());
        let mapped = self.map_stripes(durable, false);
        if let Err(error) = &mapped {
            tracing::warn!(%error, "chunks that were made of the log cannot be mapped now");
        }
        self.chunks_written(durable, mapped.is_ok());
    }

    /// What the log has of chunks, and whether it could be read to its end.
    fn salvage(
        &self,
        durable: &Durable,
        bad: &[Bad],
        patient: bool,
        ends: &Ends,
    ) -> Result<(Vec<Vec<Point>>, bool), StorageError> {
        let mut salvage = Salvage::new(&self.closed, patient);
        for bad in bad {
            if !bad.out_of_order {
                salvage.want(bad.series, &bad.chunk);
                continue;
            }
            let stripe = self.stripes[stripe_of(bad.series)].read();
            let late = number_of(bad.series).and_then(|number| stripe.late.get(&number));
            let mapped = late.into_iter().flat_map(|late| &late.chunks);
            salvage.want_late(bad.series, bad.place, mapped);
        }
        salvage.also_called(&durable.aliases.lock());
        let whole = salvage.read(durable, self.clock.now(), ends)?;
        Ok((salvage.into_found(), whole))
    }

    fn put_in_place(&self, bad: &Bad, points: &[Point]) {
        let part: Vec<Closed> = encode(points).iter().map(Closed::encoded).collect();
        let Some(number) = number_of(bad.series) else { return };
        let mut stripe = self.stripes[stripe_of(bad.series)].write();
        let is_it = |chunk: &Closed| chunk.place() == Some(bad.place);
        if !bad.out_of_order {
            let row = stripe.row(number, 0);
            let at = row.and_then(|row| stripe.cold[row].closed.iter().position(|chunk| is_it(&chunk)));
            if let Some((row, at)) = row.zip(at) {
                stripe.replace_closed(row, at, part);
            }
            return;
        }
        let Some(late) = stripe.late.get_mut(&number) else {
            return;
        };
        if let Some(at) = late.chunks.iter().position(is_it) {
            late.chunks.splice(at..=at, part);
        }
        if late.is_empty() {
            stripe.late.remove(&number);
        }
    }

    /// How many samples of a chunk are lost where the log has so many of them. What a block has of it the log need not have.
    fn missing(&self, durable: &Durable, bad: &Bad, found: u64, whole: bool) -> u64 {
        let before = !bad.out_of_order && bad.chunk.mint < self.floor.load(Ordering::Acquire);
        match before && whole && !durable.may_lack(&bad.chunk.data) {
            true => 0,
            false => u64::from(bad.chunk.samples).saturating_sub(found),
        }
    }

    fn tell_mended(&self, durable: &Durable, mended: &mut Mended) {
        if mended.chunks == 0 {
            return;
        }
        let mut untold = durable.untold.lock();
        untold.append(&mut mended.lost);
        untold.truncate(UNTOLD);
        drop(untold);
        let Mended {
            chunks, lost_samples, ..
        } = *mended;
        self.counters.mapped_damaged.fetch_add(chunks, Ordering::Relaxed);
        self.counters.samples_lost.fetch_add(lost_samples, Ordering::Relaxed);
        match lost_samples {
            0 => tracing::warn!(
                chunks,
                "mapped chunks could not be read: the log had all of their samples"
            ),
            _ => tracing::error!(
                chunks,
                lost_samples,
                "mapped chunks could not be read, and the log has not all of their samples: the others are lost"
            ),
        }
    }
}

impl Mended {
    fn note(&mut self, bad: &Bad, missing: u64) {
        self.chunks += 1;
        self.lost_samples += missing;
        if self.chunks <= NAMED {
            let (error, samples) = (&bad.why, bad.chunk.samples);
            tracing::error!(%error, series = bad.series.0, samples, lost = missing, "a mapped chunk cannot be read");
        }
        if missing == 0 {
            return;
        }
        match self.lost.len() as u64 {
            named if named < NAMED => self.lost.push(format!(
                "{missing} samples from {} to {}: {}, and the log lacks them",
                bad.chunk.mint,
                bad.chunk.maxt(),
                bad.why
            )),
            _ => {
                self.lost.truncate(NAMED as usize);
                let all = format!("of all such mapped chunks {} samples are lost", self.lost_samples);
                self.lost.push(all);
            }
        }
    }
}

/// Reads a chunk and its samples. What fails together with what lies beside it is read once more alone.
fn check(
    files: &Files,
    ahead: &mut Ahead,
    chunk: &Closed,
    place: u64,
    scratch: &mut Vec<Point>,
) -> Result<(), StorageError> {
    let bytes = ahead.bytes(files, &chunk.data).or_else(|_| files.bytes(&chunk.data))?;
    scratch.clear();
    let decoded = points::decode(chunk.encoding, &bytes, Timestamp::MIN, Timestamp::MAX, scratch);
    decoded.map_err(|error| files.damaged(place, &error))
}
