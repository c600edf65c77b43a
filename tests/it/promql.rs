//! `leadline promql`: what it prints, and how it ends.

use crate::world::{Exporter, Leadline, config, printed, run};
use serde_json::Value;

/// Arguments behind `promql`, the exit code, lines or parts of lines that are printed in this order.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str]);

async fn ends(cases: &[Case<'_>], more: &[&str]) {
    for (args, code, parts) in cases {
        let output = run(&[&["promql"], *args, more].concat()).await;
        let shown = printed(&output);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {shown}");
        assert_eq!(
            output.stdout.is_empty(),
            *code != 0,
            "results and reasons do not mix: {shown}"
        );
        let mut rest = shown.as_str();
        for part in *parts {
            let Some(at) = rest.find(part) else {
                panic!("{args:?}: {part:?} is missing in\n{shown}")
            };
            rest = &rest[at + part.len()..];
        }
    }
}

#[tokio::test]
async fn expressions_are_formatted_and_checked_and_mistakes_are_pointed_at() {
    let long = format!(
        "sum by (a) ({})",
        ["rate(http_requests_total{code=\"500\"}[5m])"; 4].join("/")
    );
    let cases: &[Case<'_>] = &[
        (
            &["format", "sum  by(a)(rate(x[5m]))"],
            0,
            &["sum by (a) (rate(x[5m]))\n"],
        ),
        (&["format", &long], 0, &["sum by (a) (\n", "\n)"]),
        (
            &["format", "sum(\n  foo{a=b}\n)"],
            1,
            &["error: ", "--> 2:9\n", "2 |   foo{a=b}\n", "|         ^"],
        ),
        (&["format", "-"], 1, &["error: ", "--> 1:1"]),
        (&["check", "rate(x[5m])"], 0, &["valid: instant vector\n"]),
        (&["check", "1 + 1"], 0, &["valid: scalar\n"]),
        (&["check", "x[5m]"], 0, &["valid: range vector\n"]),
        (
            &["check", "rats(x[5m])"],
            1,
            &[
                "error: ",
                "--> 1:1\n",
                "1 | rats(x[5m])\n",
                "| ^^^^",
                "did you mean `rate`?",
            ],
        ),
        (&["check", "rate(x)"], 1, &["error: ", "--> 1:6\n", "|      ^"]),
        (&["check", "limitk(1, x)"], 0, &["valid: instant vector"]),
        (
            &["check", "limitk(1, x)", "--enable-feature=use-start-timestamps"],
            1,
            &["error: ", "limitk", "^"],
        ),
        (
            &[
                "check",
                "a.b",
                "--enable-feature=nothing,promql-unquoted-utf8-names,native-histograms",
            ],
            0,
            &[
                "valid: instant vector",
                "Unknown option for --enable-feature: nothing",
                "leadline has no such feature: native-histograms",
            ],
        ),
        (&["check"], 2, &["EXPRESSION"]),
        (&["polish", "x"], 2, &["polish"]),
    ];
    ends(cases, &[]).await;
}

#[tokio::test]
async fn an_expression_is_explained_by_a_running_leadline() {
    let exporter = Exporter::start("m{a=\"b\"} 1\nm{a=\"c\"} 2\n").await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("count(rate(m[1m]))", 2.0).await;
    let url = format!("--url=http://{}/", leadline.web);
    let cases: &[Case<'_>] = &[
        (
            &["explain", "sum(m) by (a)"],
            0,
            &["part", "samples read", "sum(m) by (a) ", " streamed", "\nwhole: "],
        ),
        (
            &["explain", "rate(m[1m])"],
            0,
            &["rate(m[1m])  ", "\n  m[1m]  ", " -", "\nwhole: "],
        ),
        (
            &["explain", "sum(m)", "--start=0", "--end=60", "--step=30s"],
            0,
            &["sum(m)", "whole: "],
        ),
        (
            &["explain", "rate(m[1m])"],
            0,
            &["whole: ", "PromQL info: metric might not be a counter"],
        ),
        // Found before anybody is asked, found by the server, and what only the server knows.
        (&["explain", "sum(m"], 1, &["error: ", "1 | sum(m\n", "^"]),
        (
            &["explain", "label_replace(m, \"a\", \"b\", \"\", \"(\")"],
            1,
            &["invalid regular expression"],
        ),
        (&["explain", "1 + limitk(1, m)"], 1, &["limitk", "--> 1:5\n", "|     ^"]),
        (&["explain", "a.b"], 1, &["error: ", "1 | a.b\n"]),
        (
            &["explain", "a.b", "--enable-feature=promql-unquoted-utf8-names"],
            1,
            &["error: ", "1 | a.b\n"],
        ),
        (
            &["explain", "m", "--time=yesterday"],
            1,
            &["invalid time value", "yesterday"],
        ),
        (&["explain", "m", "--time=0", "--start=0"], 2, &["--time", "--start"]),
        (&["explain", "m", "--start=0"], 2, &["--end", "--step"]),
    ];
    ends(cases, &[&url]).await;
    let output = run(&["promql", "explain", "m", "--json", &url]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["data"]["nodes"][0]["expr"], "m", "{answer}");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("--url=http://{}", taken.local_addr().unwrap());
    drop(taken);
    ends(
        &[(
            &["explain", "m"],
            1,
            &["is leadline running, and is --url its web listener?"],
        )],
        &[&nobody],
    )
    .await;
    let other = format!("--url=http://{}", exporter.address);
    ends(&[(&["explain", "m"], 1, &["not what leadline answers"])], &[&other]).await;
}
