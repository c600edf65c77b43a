//! Writing chunks of native histograms: which sample goes on with a chunk, which re-codes it and which ends it
//! (`tsdb/chunkenc/histogram.go` and `float_histogram.go`, `AppendHistogram`, `appendable`, `recode`).

use super::bits::BitWriter;
use super::counts::{Counts, ResetHeader, Side};
use super::histogram::{HEADER, Reader};
use super::layout::Layout;
use super::union::{self, Union};
use super::{Encoding, varbit};
use leadline_model::histogram::{CUSTOM_BUCKETS, FloatHistogram, Histogram, ResetHint, Span};
use leadline_model::sample::{Timestamp, is_stale};
use std::borrow::Cow;
use std::sync::Arc;

/// Encodes integer histograms.
pub type HistogramAppender = Appender<Histogram>;
/// Encodes float histograms.
pub type FloatHistogramAppender = Appender<FloatHistogram>;

/// A chunk that takes no more samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedChunk {
    /// Time (ms) of its first sample.
    pub mint: Timestamp,
    /// Time (ms) of its last sample.
    pub maxt: Timestamp,
    /// Its bytes, exactly as Prometheus stores them.
    pub data: Arc<[u8]>,
}

/// Encodes one chunk of histograms while it is open; the next begins where one ends. `K` is [`Histogram`] or
/// [`FloatHistogram`].
#[derive(Debug, Clone, Default)]
pub struct Appender<K: Counts> {
    open: Option<Open<K>>,
}

impl<K: Counts> Appender<K> {
    /// Number of samples in the open chunk.
    #[must_use]
    pub fn samples(&self) -> u16 {
        self.open.as_ref().map_or(0, |open| open.samples)
    }

    /// Length of the open chunk as it would be stored, bytes; 0 before the first sample.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "samples() tells")]
    pub fn len(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.out.len())
    }

    /// Bytes of memory that the open chunk's buffer takes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.out.capacity())
    }

    /// Times (ms) of the open chunk's first and last sample.
    #[must_use]
    pub fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        self.open.as_ref().map(|open| (open.first, open.t))
    }

    /// Adds a histogram, which must be valid; `t` (ms) must be later than that of the newest sample. Returns the chunk
    /// that was closed for it: since `close_first` asks for it, or since the two cannot be in one chunk (another schema,
    /// zero bucket or bounds, a counter that began again, a gauge and a counter, anything after a stale marker).
    pub fn append(&mut self, t: Timestamp, h: &K, close_first: bool) -> Option<SealedChunk> {
        let h = without_stale_fields(h);
        let hint = h.common().reset;
        let Some(open) = self.open.as_mut() else {
            self.open = Some(Open::begin(t, &h, header(hint, ResetHeader::Unknown)));
            return None;
        };
        let verdict = if close_first || open.samples == u16::MAX {
            Err(header(
                hint,
                K::header_of_cut(open.fit_counter(&h).err().unwrap_or(ResetHeader::NotReset)),
            ))
        } else if hint == ResetHint::Gauge {
            open.fit_gauge(&h).ok_or(ResetHeader::Gauge)
        } else {
            open.fit_counter(&h).map_err(K::header_of_break)
        };
        let begin = match verdict {
            Ok(fit) if open.append(t, h.clone(), &fit).is_some() => return None,
            Ok(_) => ResetHeader::Unknown,
            Err(header) => header,
        };
        let sealed = open.seal();
        *open = Open::begin(t, &h, begin);
        Some(sealed)
    }

    /// Appends the open chunk as it is now to `out` and returns its length in bytes.
    pub fn copy_to(&self, out: &mut Vec<u8>) -> usize {
        self.open.as_ref().map_or(0, |open| open.copy_to(out))
    }

    /// Closes the open chunk. The next begins without knowing it.
    pub fn seal(&mut self) -> Option<SealedChunk> {
        self.open.take().map(|open| open.seal())
    }
}

/// The header of a chunk whose first sample has this hint.
fn header(hint: ResetHint, otherwise: ResetHeader) -> ResetHeader {
    match hint {
        ResetHint::Gauge => ResetHeader::Gauge,
        ResetHint::Reset => ResetHeader::Reset,
        ResetHint::Unknown | ResetHint::NotReset => otherwise,
    }
}

/// A stale marker is stored without anything else, but its hint decides to which chunk it goes.
fn without_stale_fields<K: Counts>(h: &K) -> Cow<'_, K> {
    let common = h.common();
    if is_stale(common.sum) {
        return Cow::Owned(K::stale(common.reset));
    }
    Cow::Borrowed(h)
}

/// The buckets of the chunk and of a histogram that fits it; `None` where they are the same.
struct Fit {
    positive: Option<Union>,
    negative: Option<Union>,
}

impl Fit {
    fn sides(&self) -> [(Side, Option<&Union>); 2] {
        [
            (Side::Positive, self.positive.as_ref()),
            (Side::Negative, self.negative.as_ref()),
        ]
    }

    fn widens_chunk(&self) -> bool {
        self.sides().iter().any(|s| s.1.is_some_and(Union::widens_left))
    }

    fn widens_histogram(&self) -> bool {
        self.sides().iter().any(|s| s.1.is_some_and(Union::widens_right))
    }
}

/// A chunk with at least one sample.
#[derive(Debug, Clone)]
struct Open<K: Counts> {
    out: BitWriter,
    header: ResetHeader,
    samples: u16,
    layout: Layout,
    state: K::State,
    first: Timestamp,
    t: Timestamp,
    delta: i64,
}

impl<K: Counts> Open<K> {
    fn begin(t: Timestamp, h: &K, header: ResetHeader) -> Self {
        let layout = layout_of(h);
        let mut out = BitWriter::default();
        out.push(0, HEADER as u32 * 8);
        layout.put(&mut out);
        varbit::put_int(&mut out, t);
        let state = h.put_first(&mut out);
        Self {
            out,
            header,
            samples: 1,
            layout,
            state,
            first: t,
            t,
            delta: 0,
        }
    }

    /// Whether a counter histogram goes on with this chunk; else what is known about a reset between the two.
    fn fit_counter(&self, h: &K) -> Result<Fit, ResetHeader> {
        let common = h.common();
        if self.header == ResetHeader::Gauge {
            return Err(ResetHeader::NotReset);
        }
        if common.reset == ResetHint::Reset {
            return Err(ResetHeader::Reset);
        }
        if is_stale(common.sum) {
            return Ok(Fit {
                positive: None,
                negative: None,
            });
        }
        if is_stale(K::sum(&self.state)) {
            return Err(ResetHeader::Unknown);
        }
        if h.count_fell(&self.state) {
            return Err(ResetHeader::Reset);
        }
        if !self.same_scale(h) {
            return Err(ResetHeader::Unknown);
        }
        if !self.same_bounds(h) || h.zero_count_fell(&self.state) {
            return Err(ResetHeader::Reset);
        }
        let fit = self.unite(h);
        if fit.sides().iter().any(|s| h.bucket_fell(&self.state, s.0, s.1)) {
            return Err(ResetHeader::Reset);
        }
        Ok(fit)
    }

    /// Whether a gauge histogram goes on with this chunk.
    fn fit_gauge(&self, h: &K) -> Option<Fit> {
        if self.header != ResetHeader::Gauge {
            return None;
        }
        if is_stale(h.common().sum) {
            return Some(Fit {
                positive: None,
                negative: None,
            });
        }
        let goes_on = !is_stale(K::sum(&self.state)) && self.same_scale(h) && self.same_bounds(h);
        goes_on.then(|| self.unite(h))
    }

    fn same_scale(&self, h: &K) -> bool {
        let common = h.common();
        common.schema == self.layout.schema && common.zero_threshold == self.layout.zero_threshold
    }

    fn same_bounds(&self, h: &K) -> bool {
        self.layout.schema != CUSTOM_BUCKETS || h.common().custom_values == &self.layout.custom_values
    }

    fn unite(&self, h: &K) -> Fit {
        let unite = |chunk: &[Span], spans: &[Span], side: Side| {
            let buckets = K::newest_buckets(&self.state, side);
            (chunk != spans).then(|| Union::of((chunk, buckets), (spans, h.buckets(side))))
        };
        let common = h.common();
        Fit {
            positive: unite(&self.layout.positive, common.positive_spans, Side::Positive),
            negative: unite(&self.layout.negative, common.negative_spans, Side::Negative),
        }
    }

    /// Adds a sample that fits; `None`, and nothing is changed, when the chunk cannot be re-coded.
    fn append(&mut self, t: Timestamp, mut h: Cow<'_, K>, fit: &Fit) -> Option<()> {
        if fit.widens_histogram() {
            self.widen(h.to_mut(), fit);
        }
        if fit.widens_chunk() {
            *self = self.recode(&h, fit)?;
        }
        self.put(t, &h);
        Some(())
    }

    fn put(&mut self, t: Timestamp, h: &K) {
        let delta = t.wrapping_sub(self.t);
        varbit::put_int(&mut self.out, delta.wrapping_sub(self.delta));
        h.put_next(&mut self.state, &mut self.out);
        (self.t, self.delta) = (t, delta);
        self.samples += 1;
    }

    /// Gives a histogram the chunk's buckets that it does not have. Its spans become those that Prometheus makes of
    /// them, since a chunk that is re-coded takes them over.
    fn widen(&self, h: &mut K, fit: &Fit) {
        let gauge = self.header == ResetHeader::Gauge;
        for (side, union) in fit.sides() {
            match union {
                Some(union) if union.widens_right() => h.spread(side, union.spans(), union.right(), union.len()),
                Some(union) if gauge => h.set_spans(side, union.spans()),
                None if gauge => {
                    let spans = spans_of(h, side);
                    h.set_spans(side, union::joined(spans, h.buckets(side)));
                }
                _ => {}
            }
        }
    }

    /// The chunk with the buckets of `h`, which has all of the chunk's.
    fn recode(&self, h: &K, fit: &Fit) -> Option<Self> {
        let mut bytes = Vec::with_capacity(self.out.len());
        self.copy_to(&mut bytes);
        let mut old = Reader::<K>::open(Encoding::Histogram, &bytes).ok()??;
        let spread = |mut sample: K| {
            for (side, union) in fit.sides() {
                let spans = spans_of(h, side).to_vec();
                match union {
                    Some(union) if union.widens_left() => sample.spread(side, spans, union.left(), union.len()),
                    _ => sample.set_spans(side, spans),
                }
            }
            sample
        };
        let mut new = Self::begin(old.t, &spread(old.get()), self.header);
        while old.advance().ok()? {
            new.put(old.t, &spread(old.get()));
        }
        Some(new)
    }

    fn copy_to(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        self.out.copy_to(out);
        let [a, b] = self.samples.to_be_bytes();
        if let Some(header) = out.get_mut(start..start + HEADER) {
            header.copy_from_slice(&[a, b, self.header as u8]);
        }
        out.len() - start
    }

    fn seal(&self) -> SealedChunk {
        let mut bytes = Vec::with_capacity(self.out.len());
        self.copy_to(&mut bytes);
        SealedChunk {
            mint: self.first,
            maxt: self.t,
            data: Arc::from(bytes),
        }
    }
}

fn layout_of<K: Counts>(h: &K) -> Layout {
    let common = h.common();
    Layout {
        schema: common.schema,
        zero_threshold: common.zero_threshold,
        positive: common.positive_spans.to_vec(),
        negative: common.negative_spans.to_vec(),
        custom_values: common.custom_values.clone(),
    }
}

fn spans_of<K: Counts>(h: &K, side: Side) -> &[Span] {
    let common = h.common();
    side.pick(common.positive_spans, common.negative_spans)
}
