//! The script language of Prometheus' PromQL tests (`promql/promqltest/README.md`): lines to commands.

use crate::series::{SeriesLine, parse_series};
use crate::starts::parse_offsets;
use leadline_model::duration::Duration;
use leadline_model::regex::Regex;
use leadline_model::{Labels, Timestamp};

/// One command and the line (from 1) where it starts.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) kind: CommandKind,
}

#[derive(Debug)]
pub(crate) enum CommandKind {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series whose samples lie `step_ms` apart, from 0.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) step_ms: i64,
    pub(crate) series: Vec<SeriesLine>,
    /// Offsets (ms) of the start times of series' samples from their times.
    pub(crate) starts: Vec<(Labels, Vec<Option<i64>>)>,
    /// `load_with_nhcb`: the classic histograms are loaded as native ones as well.
    pub(crate) with_nhcb: bool,
}

/// A query and what it must answer.
#[derive(Debug)]
pub(crate) struct Eval {
    pub(crate) expr: String,
    pub(crate) times: Times,
    pub(crate) expect: Expect,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    Instant(Timestamp),
    Range {
        start: Timestamp,
        end: Timestamp,
        step: i64,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Expect {
    /// Series in the order of the lines.
    pub(crate) series: Vec<SeriesLine>,
    pub(crate) scalar: Option<f64>,
    pub(crate) string: Option<String>,
    /// Times of the samples of a range vector that an instant query answers.
    pub(crate) range_vector: Option<(Timestamp, Timestamp, i64)>,
    pub(crate) ordered: bool,
    pub(crate) fail: Option<Text>,
    pub(crate) warn: Vec<Text>,
    pub(crate) info: Vec<Text>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
}

/// How a message must read.
#[derive(Debug)]
pub(crate) enum Text {
    Any,
    Exact(String),
    Matching(Regex),
}

impl Text {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == text,
            Self::Matching(regex) => regex.is_match(text),
        }
    }
}

/// Reads a whole file. An error names its line.
pub(crate) fn parse_script(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let start = at;
        at += 1;
        if line.is_empty() {
            continue;
        }
        let fail = |message: String| format!("line {}: {message}", start + 1);
        let word = line.split([' ', '\t']).next().unwrap_or("");
        let kind = if word == "clear" {
            CommandKind::Clear
        } else if word.starts_with("load") {
            CommandKind::Load(parse_load(line, &lines, &mut at).map_err(fail)?)
        } else if word.starts_with("eval") {
            CommandKind::Eval(Box::new(parse_eval(line, &lines, &mut at).map_err(fail)?))
        } else {
            return Err(fail(format!("unknown command {line:?}")));
        };
        commands.push(Command { line: start + 1, kind });
    }
    Ok(commands)
}

/// The next line of a block; a blank one ends it.
fn next_line<'a>(lines: &[&'a str], at: &mut usize) -> Option<&'a str> {
    let line = lines.get(*at).copied().filter(|line| !line.is_empty())?;
    *at += 1;
    Some(line)
}

fn parse_load(line: &str, lines: &[&str], at: &mut usize) -> Result<Load, String> {
    let (command, step) = line.split_once([' ', '\t']).ok_or("a load needs its step")?;
    let step_ms = milliseconds(step.trim())?;
    let (mut series, mut starts) = (Vec::new(), Vec::new());
    while let Some(line) = next_line(lines, at) {
        // `metric@st …`; the samples come on the next line.
        match line.split_once([' ', '\t']) {
            Some((metric, offsets)) if metric.ends_with("@st") => {
                let labels = parse_series(metric.trim_end_matches("@st"))?.labels;
                starts.push((labels, parse_offsets(offsets)?));
            }
            _ => series.push(parse_series(line)?),
        }
    }
    Ok(Load {
        step_ms,
        series,
        starts,
        with_nhcb: command == "load_with_nhcb",
    })
}

fn parse_eval(line: &str, lines: &[&str], at: &mut usize) -> Result<Eval, String> {
    let (command, rest) = word(line);
    let mut expect = Expect::default();
    match command.strip_prefix("eval").unwrap_or("") {
        "" => {}
        "_ordered" => expect.ordered = true,
        "_fail" => expect.fail = Some(Text::Any),
        "_warn" => expect.warn.push(Text::Any),
        "_info" => expect.info.push(Text::Any),
        other => return Err(format!("unknown kind of eval: {other:?}")),
    }
    let (kind, rest) = word(rest);
    let (times, expr) = match kind {
        "instant" => {
            let (time, expr) = word(keyword(rest, "at")?);
            (Times::Instant(milliseconds(time)?), expr)
        }
        "range" => {
            let (start, rest) = word(keyword(rest, "from")?);
            let (end, rest) = word(keyword(rest, "to")?);
            let (step, expr) = word(keyword(rest, "step")?);
            let (start, end, step) = (milliseconds(start)?, milliseconds(end)?, milliseconds(step)?);
            (Times::Range { start, end, step }, expr)
        }
        other => return Err(format!("unknown kind of eval: {other:?}")),
    };
    while let Some(line) = next_line(lines, at) {
        if !parse_expectation(line, &mut expect)? {
            break;
        }
    }
    Ok(Eval {
        expr: expr.to_owned(),
        times,
        expect,
    })
}

/// Reads one line of what is expected; `false` when nothing may follow it.
fn parse_expectation(line: &str, expect: &mut Expect) -> Result<bool, String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        expect.fail = Some(Text::Exact(message.trim().to_owned()));
        return Ok(false);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        expect.fail = Some(anywhere(pattern.trim())?);
        return Ok(false);
    }
    if let Some(rest) = line.strip_prefix("expect range vector ") {
        let (start, rest) = word(keyword(rest, "from")?);
        let (end, rest) = word(keyword(rest, "to")?);
        let (step, _) = word(keyword(rest, "step")?);
        expect.range_vector = Some((milliseconds(start)?, milliseconds(end)?, milliseconds(step)?));
        return Ok(true);
    }
    if let Some(text) = line.strip_prefix("expect string ") {
        expect.string = Some(unquoted(text)?);
        return Ok(true);
    }
    let (first, rest) = word(line);
    if first == "expect" {
        parse_expect(rest, expect)?;
        return Ok(true);
    }
    if let Some(value) = number(line) {
        expect.scalar = Some(value);
        return Ok(false);
    }
    expect.series.push(parse_series(line)?);
    Ok(true)
}

fn parse_expect(rest: &str, expect: &mut Expect) -> Result<(), String> {
    let (what, how) = word(rest);
    let text = if let Some(message) = how.strip_prefix("msg:") {
        Text::Exact(message.trim().to_owned())
    } else if let Some(pattern) = how.strip_prefix("regex:") {
        anywhere(pattern.trim())?
    } else if how.is_empty() {
        Text::Any
    } else {
        return Err(format!("unknown expectation {rest:?}"));
    };
    match what {
        "ordered" => expect.ordered = true,
        "fail" => expect.fail = Some(text),
        "warn" => expect.warn.push(text),
        "info" => expect.info.push(text),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        other => return Err(format!("unknown expectation {other:?}")),
    }
    Ok(())
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once([' ', '\t'])
        .map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

fn keyword<'a>(text: &'a str, expected: &str) -> Result<&'a str, String> {
    match word(text) {
        (found, rest) if found == expected => Ok(rest),
        (found, _) => Err(format!("{expected:?} was expected, not {found:?}")),
    }
}

fn milliseconds(text: &str) -> Result<i64, String> {
    Duration::parse(text)
        .map(Duration::as_millis)
        .map_err(|error| error.to_string())
}

/// A pattern that may match anywhere in a message.
fn anywhere(pattern: &str) -> Result<Text, String> {
    Regex::new(&format!(".*(?:{pattern}).*"))
        .map(Text::Matching)
        .map_err(|error| error.to_string())
}

/// A scalar that is expected.
fn number(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    if let Some(hex) = digits.strip_prefix("0x") {
        let value = i64::from_str_radix(hex, 16).ok()? as f64;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    text.parse().ok()
}

fn unquoted(text: &str) -> Result<String, String> {
    use leadline_promql::syntax::{ast::ExprKind, parse};
    match parse(text).map_err(|error| error.to_string())?.kind {
        ExprKind::String(value) => Ok(value),
        _ => Err(format!("{text:?} is no quoted text")),
    }
}
