//! A line of the query log, in the names and the order in which Prometheus writes it.

use leadline_model::Timestamp;
use leadline_promql::log::{Ended, Origin};
use leadline_promql::stats::{NumbersOfGo, Shown};
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    source: String,
    msg: &'static str,
    params: Params<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    stats: Shown,
    #[serde(rename = "httpRequest", skip_serializing_if = "Option::is_none")]
    http_request: Option<Request>,
}

/// In the order in which Go writes a map.
#[derive(Serialize)]
struct Params<'a> {
    end: String,
    query: &'a str,
    start: String,
    /// Whole seconds, as upstream cuts them.
    step: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(rename = "clientIP", serialize_with = "address")]
    client_ip: Option<IpAddr>,
    method: &'static str,
    path: &'static str,
}

/// An address that is not known is an empty text.
fn address<S: serde::Serializer>(address: &Option<IpAddr>, to: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => to.collect_str(&address.to_canonical()),
        None => to.serialize_str(""),
    }
}

/// The line of a query that ended at `now`.
pub(super) fn of(ended: &Ended<'_>, now: Timestamp) -> Vec<u8> {
    let line = Line {
        time: date(now),
        level: "INFO",
        source: format!("line.rs:{}", line!()),
        msg: "promql query logged",
        params: Params {
            end: date(ended.end),
            query: ended.query,
            start: date(ended.start),
            step: ended.step_ms / 1000,
        },
        error: ended.error.map(ToString::to_string),
        stats: ended.stats.shown(),
        http_request: match ended.origin {
            Origin::Http { client, method, path } => Some(Request {
                client_ip: client,
                method,
                path,
            }),
            _ => None,
        },
    };
    let mut text = Vec::new();
    let written = line.serialize(&mut serde_json::Serializer::with_formatter(&mut text, NumbersOfGo));
    debug_assert!(written.is_ok(), "texts and numbers under fixed names cannot fail");
    text.push(b'\n');
    text
}

/// `2015-07-01T20:10:51.781Z`, of ms since the epoch; civil dates by Howard Hinnant's `civil_from_days`.
fn date(ms: Timestamp) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    let milli = of_day % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_civil() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_825_600_123, "2000-02-29T12:00:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_435_781_430_781, "2015-07-01T20:10:30.781Z"),
        ] {
            assert_eq!(date(ms), text);
        }
    }
}
