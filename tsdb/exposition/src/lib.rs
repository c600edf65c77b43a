//! Bytes of the text exposition format to samples, without an allocation per line.
//!
//! The format is Prometheus' text 0.0.4 and 1.0.0 (`model/textparse/promlex.l`, `promparse.go`). Reading has two lanes:
//!
//! * [`Parser`] walks over the lines and gives, for each sample, the bytes that name the series, the value and the
//!   timestamp. It does not look into the name and the labels.
//! * [`parse_series`] takes those bytes apart and checks them. Who remembers the bytes it has seen (the scrape cache
//!   does) needs it only for series that are new.
//!
//! [`OpenMetrics`] reads OpenMetrics 1.0 in the same two lanes, for backfills.
//!
//! A line that the first lane takes and the second refuses is an error of the line; so is the reverse. Deviations from
//! Prometheus, all towards refusing: a raw line break inside a quoted label value; a NUL byte outside of quotes
//! (Prometheus ends the text there without a word); a value that follows a bare name without a blank (`a-1`).

mod error;
mod line;
mod number;
mod openmetrics;
mod parser;
mod series;

pub use error::ParseError;
pub use number::{format_float, parse_float};
pub use openmetrics::{OpenMetrics, OpenMetricsSample};
pub use parser::{Event, Kind, MAX_LINE_BYTES, Parser};
pub use series::{MAX_LABELS, Pair, SeriesError, parse_labels, parse_series};
