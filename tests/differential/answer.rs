//! Answers, taken apart without reading a number: what differs in one digit differs.

use std::collections::BTreeSet;
use std::fmt;

/// What the order of an answer's series means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing.
    None,
    /// They are sorted by their values: equal ones come in any order.
    Values,
    /// All of it is told.
    Series,
}

/// An answer, with what has no order put into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The type of the result; empty for an error.
    pub(crate) kind: String,
    /// The result's series as they came, or the one value.
    pub(crate) series: Vec<String>,
    /// Their values as they came, where they are sorted by these.
    pub(crate) ranks: Vec<String>,
    /// Type and text of an error.
    pub(crate) error: Option<(String, String)>,
    /// Warnings and infos.
    pub(crate) notes: BTreeSet<String>,
}

impl Answer {
    /// Takes an answer apart; `order` says what that of its series means.
    pub(crate) fn read(status: u16, body: &str, order: Order) -> Self {
        let fields = object(body);
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let data = object(get("data").unwrap_or("{}"));
        let of_data = |name: &str| data.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let kind = of_data("resultType").unwrap_or_default();
        let result = of_data("result").unwrap_or_default();
        let mut series = match kind.as_str() {
            "\"vector\"" | "\"matrix\"" => array(&result),
            _ => vec![result],
        };
        let ranks = match order {
            Order::Values => series.iter().map(|one| rank(one).to_owned()).collect(),
            _ => Vec::new(),
        };
        if order != Order::Series {
            series.sort_unstable();
        }
        let notes = ["warnings", "infos"]
            .into_iter()
            .flat_map(|name| array(get(name).unwrap_or("[]")));
        Self {
            status,
            kind,
            series,
            ranks,
            error: get("errorType").map(|kind| (kind.to_owned(), get("error").unwrap_or_default().to_owned())),
            notes: notes.collect(),
        }
    }

    /// The series without the names of their metrics, in an order.
    fn without_names(&self) -> Vec<String> {
        let without = |series: &String| {
            let (begin, name) = series.split_once("\"__name__\":").unwrap_or((series, ""));
            let rest = name
                .trim_start_matches('"')
                .split_once('"')
                .map_or("", |(_, rest)| rest);
            format!("{begin}{}", rest.trim_start_matches(','))
        };
        let mut all: Vec<String> = self.series.iter().map(without).collect();
        all.sort_unstable();
        all
    }

    /// Whether everything but the series is the same.
    pub(crate) fn is_same_but_for_series(&self, other: &Self) -> bool {
        let whole = |one: &Self| (one.status, one.kind.clone(), one.error.clone(), one.notes.clone());
        whole(self) == whole(other)
    }

    /// Whether it is the same but for the last digits of values.
    pub(crate) fn is_same_but_for_rounding(&self, other: &Self, tolerance: f64) -> bool {
        self.is_same_but_for_values(other, |a, b| near(a, b, tolerance))
    }

    /// Whether it is the same but for the names of metrics.
    pub(crate) fn is_same_but_for_names(&self, other: &Self) -> bool {
        self.is_same_but_for_series(other)
            && self.series != other.series
            && self.ranks == other.ranks
            && self.without_names() == other.without_names()
    }

    /// Whether it is the same but for values, all of which are such pairs; labels and times must be equal.
    pub(crate) fn is_same_but_for_values(&self, other: &Self, fits: impl Fn(&str, &str) -> bool) -> bool {
        let same = |a: &String, b: &String| {
            // Values are the only texts behind the labels: what is not within quotes are times and brackets.
            let (labels, values) = a.split_at(begin_of_values(a));
            let (others, other_values) = b.split_at(begin_of_values(b));
            let (values, other_values): (Vec<_>, Vec<_>) =
                (values.split('"').collect(), other_values.split('"').collect());
            let pairs = values.iter().zip(&other_values).enumerate();
            labels == others
                && values.len() == other_values.len()
                && pairs
                    .into_iter()
                    .all(|(i, (a, b))| if i % 2 == 0 { a == b } else { fits(a, b) })
        };
        self.is_same_but_for_series(other)
            && self.ranks.len() == other.ranks.len()
            && self.ranks.iter().zip(&other.ranks).all(|(a, b)| fits(a, b))
            && self.series.len() == other.series.len()
            && self.series.iter().zip(&other.series).all(|(a, b)| same(a, b))
    }

    /// Whether it could be one more of these answers to one question, of which each took up series in another order: it is one
    /// of them, its values are as near to theirs as they are to each other, or it has the same points, and each
    /// in a series that one of them has it in.
    pub(crate) fn lies_among(&self, seen: &[Self]) -> bool {
        seen.contains(self) || self.lies_between(seen) || self.is_made_of(seen)
    }

    /// Whether every value lies between the smallest and the greatest of the others at its place, or beyond them by no more
    /// than twice what they differ by anywhere (of what they are): few of all orders were seen.
    fn lies_between(&self, seen: &[Self]) -> bool {
        if !seen.iter().all(|one| self.is_same_but_for_values(one, |_, _| true)) {
            return false;
        }
        let values: Vec<Vec<&str>> = seen.iter().map(Self::values).collect();
        let at = |i: usize| values.iter().map(move |one| one[i]);
        let bounds = |i: usize| {
            let numbers = at(i).map(|text| text.parse().ok().filter(|x: &f64| x.is_finite()));
            let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
            let (low, high) = (
                numbers.iter().copied().reduce(f64::min)?,
                numbers.iter().copied().reduce(f64::max)?,
            );
            Some((low, high, low.abs().max(high.abs())))
        };
        let own = self.values();
        let widths = (0..own.len()).filter_map(bounds).filter(|(.., size)| *size > 0.0);
        let widest = widths.map(|(low, high, size)| (high - low) / size).fold(0.0, f64::max);
        own.iter()
            .enumerate()
            .all(|(i, value)| match (bounds(i), value.parse::<f64>()) {
                (Some((low, high, size)), Ok(value)) => {
                    let beyond = 2.0 * widest * size;
                    (low - beyond..=high + beyond).contains(&value)
                }
                _ => at(i).any(|other| other == *value),
            })
    }

    /// Whether each point is one of the same series in one of the others.
    fn is_made_of(&self, seen: &[Self]) -> bool {
        let known: BTreeSet<(&str, &str)> = seen.iter().flat_map(Self::placed_points).collect();
        let alike = |one: &Self| self.is_same_but_for_series(one) && self.points() == one.points();
        seen.iter().all(alike) && self.placed_points().all(|point| known.contains(&point))
    }

    /// The texts of all values.
    fn values(&self) -> Vec<&str> {
        // The names of the fields in front of them are texts, too; they are the same in all answers of a shape.
        let of_one = |one| str::split(one, '"').skip(1).step_by(2);
        let values = self.series.iter().map(|one| &one[begin_of_values(one)..]);
        values.flat_map(of_one).collect()
    }

    /// Times and values with the series that they belong to.
    fn placed_points(&self) -> impl Iterator<Item = (&str, &str)> {
        self.series.iter().flat_map(|one| {
            let (labels, points) = one.split_at(begin_of_values(one));
            points_of(points).map(move |point| (labels, point))
        })
    }

    /// Times and values without the series that they belong to, in an order.
    pub(crate) fn points(&self) -> Vec<&str> {
        let mut points: Vec<&str> = self.placed_points().map(|(_, point)| point).collect();
        points.sort_unstable();
        points
    }

    /// Whether there is a result that says something.
    pub(crate) fn says_something(&self) -> bool {
        self.error.is_none() && !self.series.is_empty()
    }
}

/// Whether two values are the same but for rounding.
pub(crate) fn near(a: &str, b: &str, tolerance: f64) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => {
            (a == b || (a.is_nan() && b.is_nan())) || (a - b).abs() <= tolerance * a.abs().max(b.abs()) + 1e-12
        }
        _ => a == b,
    }
}

/// The points of one series, from where its values begin.
fn points_of(values: &str) -> impl Iterator<Item = &str> {
    let digits = |point: &'_ str| point.find(|c: char| c.is_ascii_digit()).unwrap_or(point.len());
    values
        .split("],[")
        .map(move |point| point[digits(point)..].trim_end_matches([']', '}']))
}

/// Where the values of a series begin, behind its labels.
fn begin_of_values(series: &str) -> usize {
    let begins = ["\"value", "\"histogram"].map(|name| series.find(name));
    begins.into_iter().flatten().min().unwrap_or(0)
}

/// The parts of two answers that differ.
pub(crate) struct Difference<'a>(pub(crate) &'a Answer, pub(crate) &'a Answer);

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = (self.0, self.1);
        for (who, one, other) in [("leadline  ", ours, theirs), ("Prometheus", theirs, ours)] {
            if one.status != other.status || one.error != other.error || one.kind != other.kind {
                writeln!(f, "  {who} {} {} {:?}", one.status, one.kind, one.error)?;
            }
            let only = one.series.iter().filter(|series| !other.series.contains(series));
            for series in only.take(3) {
                let short: String = series.chars().take(700).collect();
                writeln!(f, "  {who} {short}")?;
            }
            for note in one.notes.difference(&other.notes) {
                writeln!(f, "  {who} {note}")?;
            }
        }
        if ours.series != theirs.series && ours.series.len() == theirs.series.len() {
            let same = ours.series.iter().all(|series| theirs.series.contains(series));
            if same {
                writeln!(f, "  the same series in another order")?;
            }
        }
        Ok(())
    }
}

/// Where the value ends that begins at the start of `text`: a string, a list or an object with all it holds, or a word.
fn value_end(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b',' | b':' | b']' | b'}' if depth == 0 => return i,
            _ => {}
        }
    }
    text.len()
}

/// The value of a series at one time; both zeros are one, because nothing says which comes first.
fn rank(series: &str) -> &str {
    match series.rsplit('"').nth(1).unwrap_or_default() {
        "-0" => "0",
        value => value,
    }
}

/// The values of a list.
fn array(text: &str) -> Vec<String> {
    let mut rest = text.trim().strip_prefix('[').unwrap_or("").trim_end_matches('\n');
    let mut found = Vec::new();
    loop {
        let end = value_end(rest);
        if end > 0 {
            found.push(rest[..end].to_owned());
        }
        match rest.get(end..).and_then(|rest| rest.strip_prefix(',')) {
            Some(next) => rest = next,
            None => return found,
        }
    }
}

/// The names and values of an object.
fn object(text: &str) -> Vec<(String, String)> {
    let mut rest = text.trim().strip_prefix('{').unwrap_or("");
    let mut found = Vec::new();
    loop {
        let name_end = value_end(rest);
        let Some(value) = rest.get(name_end..).and_then(|rest| rest.strip_prefix(':')) else {
            return found;
        };
        let end = value_end(value);
        found.push((rest[..name_end].trim_matches('"').to_owned(), value[..end].to_owned()));
        match value.get(end..).and_then(|rest| rest.strip_prefix(',')) {
            Some(next) => rest = next,
            None => return found,
        }
    }
}

/// An answer of one series with these values, 60 s apart.
#[cfg(test)]
fn of_values(label: &str, values: &[&str]) -> String {
    let points: Vec<String> = (1..)
        .zip(values)
        .map(|(i, v)| format!("[{},\"{v}\"]", i * 60))
        .collect();
    format!(r#"{{"metric":{{"a":"{label}"}},"values":[{}]}}"#, points.join(","))
}

#[test]
fn an_answer_lies_among_others_that_differ_by_the_order_of_series() {
    let answer = |series: &[String]| {
        let list = series.join(",");
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{list}]}}}}"#);
        Answer::read(200, &body, Order::None)
    };
    let one = |values: &[&str]| answer(&[of_values("x", values)]);
    let seen = [one(&["0.3", "5"]), one(&["0.30000000000000004", "5"])];
    for (ours, expected) in [
        (one(&["0.3", "5"]), true),
        (one(&["0.30000000000000010", "5"]), true),
        (one(&["0.3", "5.000000000000001"]), true),
        (one(&["0.3000000000001", "5"]), false),
        (one(&["0.3", "5.00000000001"]), false),
        (one(&["0.3", "NaN"]), false),
        (one(&["0.3"]), false),
        (answer(&[of_values("y", &["0.3", "5"])]), false),
    ] {
        assert_eq!(ours.lies_among(&seen), expected, "{ours:?}");
    }
    let kept = [
        answer(&[of_values("x", &["1", "1"])]),
        answer(&[of_values("y", &["1", "1"])]),
    ];
    let from_both = [
        of_values("x", &["1"]),
        r#"{"metric":{"a":"y"},"values":[[120,"1"]]}"#.to_owned(),
    ];
    assert!(answer(&from_both).lies_among(&kept));
    assert!(!answer(&[of_values("z", &["1", "1"])]).lies_among(&kept));
    assert!(!answer(&[of_values("x", &["1", "2"])]).lies_among(&kept));
}

#[test]
fn the_order_of_values_counts_where_they_are_sorted_and_that_of_equal_ones_does_not() {
    let answer = |samples: &[(&str, &str)], order| {
        let one = |(label, v): &(&str, &str)| format!(r#"{{"metric":{{"a":"{label}"}},"value":[1.500,"{v}"]}}"#);
        let list = samples.iter().map(one).collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{list}]}}}}"#);
        Answer::read(200, &body, order)
    };
    let sorted = [("x", "-0"), ("y", "0"), ("z", "7")];
    let (ties, other) = ([sorted[1], sorted[0], sorted[2]], [sorted[2], sorted[0], sorted[1]]);
    for (order, of_ties, of_other) in [
        (Order::None, true, true),
        (Order::Values, true, false),
        (Order::Series, false, false),
    ] {
        let first = answer(&sorted, order);
        assert_eq!(first == answer(&ties, order), of_ties, "{order:?}");
        assert_eq!(first == answer(&other, order), of_other, "{order:?}");
        // No tolerance takes one order for another.
        assert_eq!(
            first.is_same_but_for_rounding(&answer(&other, order), 1e-9),
            of_other,
            "{order:?}"
        );
    }
}

#[test]
fn answers_are_taken_apart_without_reading_numbers() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"]\",}"},"value":[1.500,"1e-07"]},{"metric":{},"value":[2,"3"]}]},"infos":["b","a"]}"#;
    let answer = Answer::read(200, body, Order::Series);
    assert_eq!(answer.kind, "\"vector\"");
    assert_eq!(
        answer.series,
        [
            r#"{"metric":{"a":"]\",}"},"value":[1.500,"1e-07"]}"#,
            r#"{"metric":{},"value":[2,"3"]}"#
        ]
    );
    assert!(answer.says_something() && answer.notes.len() == 2);
    let body = r#"{"status":"error","errorType":"execution","error":"no, \"never\""}"#;
    let error = Answer::read(422, body, Order::None).error;
    assert_eq!(
        error,
        Some((r#""execution""#.to_owned(), r#""no, \"never\"""#.to_owned()))
    );
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    assert!(!Answer::read(200, empty, Order::None).says_something());
}
