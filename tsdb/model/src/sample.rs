//! One observation: when and how much.

/// Milliseconds since the Unix epoch, UTC. The unit of every time in leadline unless a name says otherwise.
pub type Timestamp = i64;

/// The bit pattern Prometheus writes to say "this series ended here" (`model/value/value.go`, `StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bit pattern of an ordinary NaN as Prometheus normalises it (`model/value/value.go`, `NormalNaN`).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The stale marker as a number. Compare with [`is_stale`], never with `==`.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `v` is the stale marker, bit for bit; other NaNs are ordinary values.
#[inline]
#[must_use]
pub fn is_stale(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// A value at a time.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub t: Timestamp,
    /// The value; [`STALE_NAN`] marks the end of the series.
    pub v: f64,
}

/// Decoded samples of one series in time order, as two parallel columns.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Times (ms), strictly increasing.
    pub t: Vec<Timestamp>,
    /// Values, `v[i]` belonging to `t[i]`.
    pub v: Vec<f64>,
}

impl Samples {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.t.clear();
        self.v.clear();
    }

    /// Adds one sample; `t` must be later than the last.
    #[inline]
    pub fn push(&mut self, t: Timestamp, v: f64) {
        self.t.push(t);
        self.v.push(v);
    }
}
