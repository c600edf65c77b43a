//! `leadline promql …`: expressions, without and with data.

use crate::cli::client::client;
use crate::cli::{fail, features, on_runtime, print};
use clap::{Args, Subcommand};
use leadline_promql::check::{describe, parse_checked_with};
use leadline_promql::syntax::Features;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

/// Looks at PromQL expressions.
#[derive(Debug, Subcommand)]
pub(crate) enum Promql {
    /// Prints an expression in canonical form, long ones on several lines.
    Format(Expression),
    /// Checks an expression: points at the first mistake, or prints the type of the value.
    Check(Expression),
    /// Evaluates an expression on a running leadline and prints what each of its parts costs.
    Explain(Explain),
}

/// An expression.
#[derive(Debug, Args)]
pub(crate) struct Expression {
    /// The expression, or `-` for standard input.
    #[arg(value_name = "EXPRESSION")]
    text: String,
    /// Experimental parts that are on, by Prometheus' names and between commas. Default: all that add to the language.
    #[arg(long = "enable-feature", value_name = "NAMES")]
    features: Option<String>,
}

/// What is on where `names` may say so.
fn enabled(names: Option<&str>) -> Features {
    names.map_or(Features::LANGUAGE, features::read)
}

/// What is evaluated, where and when.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The expression, or `-` for standard input.
    #[arg(value_name = "EXPRESSION")]
    text: String,
    /// When: RFC 3339 or seconds since the Unix epoch. Default: now.
    #[arg(long, value_name = "TIME", conflicts_with = "start")]
    time: Option<String>,
    /// From when on, of a range.
    #[arg(long, value_name = "TIME", requires_all = ["end", "step"])]
    start: Option<String>,
    /// Until when.
    #[arg(long, value_name = "TIME", requires = "start")]
    end: Option<String>,
    /// How far apart: a duration or seconds.
    #[arg(long, value_name = "DURATION", requires = "start")]
    step: Option<String>,
    /// Where leadline's web listener is.
    #[arg(long, default_value = "http://127.0.0.1:9090", env = "LEADLINE_URL")]
    url: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Experimental parts that are on there, by Prometheus' names and between commas. Default: all that add to the language.
    #[arg(long = "enable-feature", value_name = "NAMES")]
    features: Option<String>,
}

/// The longest text that is read from standard input, bytes: what the parser takes, and a little more to tell.
const MOST_TEXT: u64 = leadline_promql::syntax::MAX_TEXT_BYTES as u64 + 1;
/// The most bytes of an answer that are read.
const MOST_ANSWER: usize = 64 << 20;
/// How many characters of a part are shown.
const SHOWN: usize = 60;

impl Promql {
    /// Runs the command; a mistake in the expression fails it.
    pub(crate) fn run(self) -> ExitCode {
        let answer = match self {
            Self::Format(expression) => expression.formatted(),
            Self::Check(expression) => expression.checked(),
            Self::Explain(explain) => return explain.run(),
        };
        match answer {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    }
}

fn read(text: &str) -> Result<String, String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut read = String::new();
    let input = std::io::stdin().lock().take(MOST_TEXT).read_to_string(&mut read);
    input.map_err(|error| format!("standard input: {error}"))?;
    Ok(read.trim_end().to_owned())
}

impl Expression {
    fn formatted(&self) -> Result<String, String> {
        self.parsed().map(|(expr, _)| expr.pretty())
    }

    fn checked(&self) -> Result<String, String> {
        self.parsed().map(|(_, kind)| format!("valid: {kind}"))
    }

    /// The tree and what its value is.
    fn parsed(&self) -> Result<(leadline_promql::syntax::ast::Expr, &'static str), String> {
        let text = read(&self.text)?;
        let (expr, shape) =
            parse_checked_with(&text, enabled(self.features.as_deref())).map_err(|error| error.render(&text))?;
        Ok((expr, describe(shape)))
    }
}

#[derive(Debug, serde::Deserialize)]
struct Answer {
    data: Option<Explained>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    stats: Stats,
    nodes: Vec<Node>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    peak_samples: u64,
    eval_micros: u64,
    inline: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    expr: String,
    depth: usize,
    series: u64,
    values: u64,
    series_read: u64,
    samples_read: u64,
    micros: u64,
    how: Vec<String>,
}

impl Explain {
    fn run(self) -> ExitCode {
        on_runtime(async move {
            match self.ask().await {
                Ok(text) => {
                    print(&text);
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error),
            }
        })
    }

    async fn ask(&self) -> Result<String, String> {
        let text = read(&self.text)?;
        // A mistake is shown here, with its place; which features are on, the server knows, unless they are named.
        parse_checked_with(&text, enabled(self.features.as_deref())).map_err(|error| error.render(&text))?;
        let url = format!("{}/api/v1/explain", self.url.trim_end_matches('/'));
        let times = [
            ("time", &self.time),
            ("start", &self.start),
            ("end", &self.end),
            ("step", &self.step),
        ];
        let mut parameters = vec![("query", text.as_str())];
        parameters.extend(times.iter().filter_map(|(name, time)| Some((*name, time.as_deref()?))));
        let body = post(&url, &parameters).await?;
        let answer: Answer =
            serde_json::from_str(&body).map_err(|error| format!("{url}: not what leadline answers: {error}"))?;
        match (answer.data, answer.error) {
            (Some(_), _) if self.json => Ok(body),
            (Some(data), _) => Ok(table(&data, &[answer.warnings, answer.infos].concat())),
            (None, Some(error)) => Err(placed(&text, error)),
            (None, None) => Err(format!("{url}: an answer without data")),
        }
    }
}

/// The server's `error` about an expression, with the place that it is about where it is a feature that is off there.
fn placed(text: &str, error: String) -> String {
    match parse_checked_with(text, Features::NONE) {
        Err(missing) if error.contains(&missing.to_string()) => missing.render(text),
        _ => error,
    }
}

/// How long an answer is waited for: somewhat longer than a query may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// Posts a form and reads the answer, whatever its status: errors are told in the answer.
async fn post(url: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let mut answer = client(url, PATIENCE)?
        .post(url)
        .form(parameters)
        .send()
        .await
        .map_err(|e| format!("{url}: {e}; is leadline running, and is --url its web listener?"))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| format!("{url}: {e}"))? {
        if body.len() + chunk.len() > MOST_ANSWER {
            return Err(format!("{url}: the answer has more than {MOST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The nodes with their costs, indented by depth.
fn table(explained: &Explained, notes: &[String]) -> String {
    let shown = |node: &Node| {
        let text = node.expr.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut line = format!("{}{text}", "  ".repeat(node.depth.min(SHOWN / 4)));
        if line.chars().count() > SHOWN {
            line = line.chars().take(SHOWN - 1).collect::<String>() + "…";
        }
        line
    };
    let mut lines = vec![format!(
        "{:<SHOWN$} {:>9} {:>10} {:>11} {:>12} {:>10} {:>16}",
        "part", "series", "values", "series read", "samples read", "ms", "how"
    )];
    for node in &explained.nodes {
        lines.push(format!(
            "{:<SHOWN$} {:>9} {:>10} {:>11} {:>12} {:>10.3} {:>16}",
            shown(node),
            node.series,
            node.values,
            node.series_read,
            node.samples_read,
            node.micros as f64 / 1000.0,
            if node.how.is_empty() {
                "-".to_owned()
            } else {
                node.how.join(",")
            }
        ));
    }
    lines.push(format!(
        "whole: {:.3} ms {}, {} samples in memory at most",
        explained.stats.eval_micros as f64 / 1000.0,
        if explained.stats.inline {
            "where it was asked"
        } else {
            "on a thread of the pool"
        },
        explained.stats.peak_samples
    ));
    lines.extend(notes.iter().cloned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Promql,
    }

    fn expression(text: &str, features: Option<&str>) -> Expression {
        Expression {
            text: text.to_owned(),
            features: features.map(str::to_owned),
        }
    }

    #[test]
    fn expressions_are_formatted_once_and_for_all() {
        for (text, formatted) in [
            ("sum  by(a)(x)", "sum by (a) (x)"),
            (" 1+ 2", "1 + 2"),
            ("x{b='c',a=\"d\"}", "x{a=\"d\",b=\"c\"}"),
        ] {
            assert_eq!(expression(text, None).formatted().as_deref(), Ok(formatted), "{text}");
            assert_eq!(
                expression(formatted, None).formatted().as_deref(),
                Ok(formatted),
                "{text}"
            );
        }
    }

    #[test]
    fn the_type_of_a_value_is_told_or_the_place_of_the_mistake() {
        for (text, answer) in [
            ("x", Ok("valid: instant vector")),
            ("x[5m]", Ok("valid: range vector")),
            ("1", Ok("valid: scalar")),
            ("'a'", Ok("valid: string")),
            // The line below the text marks what is wrong.
            ("sum(x", Err("1 | sum(x\n  |      ^")),
            ("a +\nrate(b)", Err("2 | rate(b)\n  |      ^")),
            ("rats(x[5m])", Err("1 | rats(x[5m])\n  | ^^^^")),
            ("", Err("--> 1:1\n")),
        ] {
            match (expression(text, None).checked(), answer) {
                (Ok(told), Ok(answer)) => assert_eq!(told, answer, "{text}"),
                (Err(told), Err(part)) => assert!(told.contains(part), "{text}: {told}"),
                (told, _) => panic!("{text}: {told:?}"),
            }
        }
        let plain = expression("limitk(1, x)", Some("use-start-timestamps")).checked();
        assert!(
            plain.is_err_and(|e| e.contains("promql-experimental-functions")),
            "a feature that is off is named"
        );
    }

    #[test]
    fn exit_codes_say_whether_it_is_an_expression() {
        let code = |args: &[&str]| {
            let line = Line::try_parse_from([&["promql"], args].concat()).unwrap();
            format!("{:?}", line.command.run())
        };
        let [good, bad] = [ExitCode::SUCCESS, ExitCode::FAILURE].map(|code| format!("{code:?}"));
        for command in ["format", "check"] {
            assert_eq!(
                (code(&[command, "x"]), code(&[command, "x{"])),
                (good.clone(), bad.clone())
            );
        }
        assert_eq!(code(&["explain", "x{"]), bad, "without asking anybody");
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        for args in [
            &["explain", "x", "--start", "0"][..],
            &["explain", "x", "--end", "0"],
            &[
                "explain", "x", "--time", "0", "--start", "0", "--end", "1", "--step", "1",
            ],
            &["check"],
        ] {
            assert!(Line::try_parse_from([&["promql"], args].concat()).is_err(), "{args:?}");
        }
    }

    #[test]
    fn parts_are_indented_and_cut_to_their_column() {
        let node = |depth, expr: &str| Node {
            expr: expr.to_owned(),
            depth,
            series: 2,
            values: 3,
            series_read: 4,
            samples_read: 5,
            micros: 1500,
            how: ["once", "streamed"].map(str::to_owned)[..depth].to_vec(),
        };
        let explained = Explained {
            stats: Stats {
                peak_samples: 7,
                eval_micros: 2000,
                inline: true,
            },
            nodes: vec![node(0, "sum(\n  x)"), node(1, &"é".repeat(200))],
        };
        let table = table(&explained, &["PromQL info: x".to_owned()]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[1].starts_with("sum( x) ") && lines[1].ends_with(" 1.500                -"),
            "{table}"
        );
        assert!(lines[2].starts_with("  é") && lines[2].contains('…'), "{table}");
        assert!(lines[2].ends_with(" 1.500             once"), "{table}");
        let widths: Vec<usize> = lines[..3].iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert_eq!(
            lines[3..],
            [
                "whole: 2.000 ms where it was asked, 7 samples in memory at most",
                "PromQL info: x"
            ]
        );
    }
}
