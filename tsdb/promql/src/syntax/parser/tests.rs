//! The grammar case by case; the whole of it is held against Prometheus' own table in `tests/grammar.rs`.

use super::*;
use crate::syntax::ast::{At, Group, Shift};
use proptest::prelude::*;

fn printed(text: &str) -> String {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn precedence_and_association_follow_prometheus() {
    /// Every operation in parentheses of its own.
    fn grouped(expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Binary(b) => format!("({} {} {})", grouped(&b.left), b.op, grouped(&b.right)),
            ExprKind::Unary { negate, expr } => format!("({}{})", if *negate { "-" } else { "+" }, grouped(expr)),
            _ => expr.to_string(),
        }
    }
    for (text, expected) in [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("2 ^ 3 ^ 2", "(2 ^ (3 ^ 2))"),
        ("-2 ^ 2", "(-(2 ^ 2))"),
        ("2 ^ -1 * 3", "((2 ^ -1) * 3)"),
        ("-1 * 2", "(-1 * 2)"),
        ("-a * b", "((-a) * b)"),
        ("--1", "1"),
        ("a or b and c", "(a or (b and c))"),
        ("a and b unless c or d", "(((a and b) unless c) or d)"),
        ("a + b == c * d", "((a + b) == (c * d))"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("foo offset 5s-8", "(foo offset 5s - 8)"),
        ("foo offset -1^1", "(foo offset -1s ^ 1)"),
        ("-foo offset 5m", "(-foo offset 5m)"),
    ] {
        assert_eq!(grouped(&parse(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn expressions_are_printed_in_canonical_form() {
    for (text, expected) in [
        ("SUM(foo)BY(a,\"b c\",)", "sum by (a, \"b c\") (foo)"),
        ("sum by () (foo)", "sum(foo)"),
        ("sum without () (foo)", "sum without () (foo)"),
        ("topk(5,foo)", "topk(5, foo)"),
        ("foo{b='x',a=~`\\d+`,}", "foo{a=~\"\\\\d+\",b=\"x\"}"),
        ("{\"my.metric\",\"l.x\"='v'}", "{\"l.x\"=\"v\",__name__=\"my.metric\"}"),
        ("foo @ 1603774568.5 offset -1m30s", "foo @ 1603774568.500 offset -1m30s"),
        ("foo[300] @ end()", "foo[5m] @ end()"),
        ("foo[1h:] offset 7d", "foo[1h:] offset 1w"),
        ("foo[4.18]", "foo[4s180ms]"),
        ("a==bool on()group_right b", "a == bool on () group_right () b"),
        ("a / ignoring(x) group_left(y) b", "a / ignoring (x) group_left (y) b"),
        ("a + ignoring() b", "a + b"),
        ("5m", "5m"),
        ("90s", "1m30s"),
        ("-Inf", "-Inf"),
        ("inf * Inf", "+Inf * +Inf"),
        ("inf ^ 2", "Inf ^ 2"),
        ("1e3 + nan", "1000 + NaN"),
        ("start() + min_of(1,2)", "start() + min_of(1, 2)"),
        ("offset{step=\"1s\"}[5m]", "offset{step=\"1s\"}[5m]"),
        ("\"a\\x01\"", "\"a\\x01\""),
        ("label_join(a, \"\\xff☺\", \"\")", "label_join(a, \"\\xff☺\", \"\")"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected, "{text}");
    }
}

#[test]
fn nodes_know_where_they_stand() {
    let text = "sum by (a) (rate(foo{x=\"y\"}[5m] offset 1m)) / on (a) bar";
    let expr = parse(text).unwrap();
    let mut spans = Vec::new();
    expr.visit(&mut |e| spans.push(&text[e.span.start as usize..e.span.end as usize]));
    let expected = [
        text,
        "sum by (a) (rate(foo{x=\"y\"}[5m] offset 1m))",
        "rate(foo{x=\"y\"}[5m] offset 1m)",
        "foo{x=\"y\"}[5m] offset 1m",
        "bar",
    ];
    assert_eq!(spans, expected);
    let ExprKind::Binary(binary) = &expr.kind else {
        panic!("{expr:?}")
    };
    assert_eq!(&text[binary.op_span.start as usize..binary.op_span.end as usize], "/");
    assert!(binary.matching.on && binary.matching.group == Group::None);
}

#[test]
fn modifiers_are_kept_with_their_selector() {
    for (text, shift) in [
        (
            "foo @ 1.5 offset 2s",
            Shift {
                offset_ms: 2000,
                at: Some(At::Time(1500)),
            },
        ),
        (
            "foo offset 2s @ -1",
            Shift {
                offset_ms: 2000,
                at: Some(At::Time(-1000)),
            },
        ),
        (
            "foo offset -3 @ start()",
            Shift {
                offset_ms: -3000,
                at: Some(At::Start),
            },
        ),
        (
            "foo @ 1m",
            Shift {
                offset_ms: 0,
                at: Some(At::Time(60_000)),
            },
        ),
    ] {
        let ExprKind::Selector(selector) = parse(text).unwrap().kind else {
            panic!("{text}")
        };
        assert_eq!(selector.shift, shift, "{text}");
    }
}

#[test]
fn mistakes_are_told_in_prometheus_words_at_their_place() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("", "1:1: parse error: no expression found in input"),
        ("1+", "1:3: parse error: unexpected end of input"),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
        ("((1)", "1:5: parse error: unclosed left parenthesis"),
        ("1 =~ 1", "1:3: parse error: unexpected character after '=': '~'"),
        (
            "some_metric{a=b}",
            "1:15: parse error: unexpected identifier \"b\" in label matching, expected string",
        ),
        (
            "foo{gibberish}",
            "1:14: parse error: unexpected \"}\" in label matching, expected label matching operator",
        ),
        ("foo{1}", "1:5: parse error: unexpected character inside braces: '1'"),
        ("{", "1:2: parse error: unexpected end of input inside braces"),
        (
            "{}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo{__name__=\"bar\"}",
            "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        ("foo[5mm]", "1:5: parse error: bad number or duration syntax: \"5mm\""),
        ("foo[5m1h]", "1:5: parse error: not a valid duration string: \"5m1h\""),
        ("foo[0m]", "1:5: parse error: duration must be greater than 0"),
        ("foo[9.5e10]", "1:5: parse error: duration out of range"),
        (
            "foo[]",
            "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo[\"5m\"]",
            "1:5: parse error: unexpected character in duration expression: '\"'",
        ),
        (
            "foo[5s x 5s]",
            "1:8: parse error: unexpected character: 'x', expected ':'",
        ),
        (
            "(foo + bar)[5m]",
            "1:12: parse error: ranges only allowed for vector selectors",
        ),
        (
            "foo OFFSET 1m[5m]",
            "1:14: parse error: no offset modifiers allowed before range",
        ),
        ("foo @ 1 [5m]", "1:9: parse error: no @ modifiers allowed before range"),
        (
            "foo offset 1s offset 2s",
            "1:1: parse error: offset may not be set multiple times",
        ),
        (
            "foo @ +Inf",
            "1:1: parse error: timestamp out of bounds for @ modifier: +Inf",
        ),
        (
            "foo @ bar",
            "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp",
        ),
        (
            "sum some_metric by (test)",
            "1:5: parse error: unexpected identifier \"some_metric\"",
        ),
        (
            "sum without(==)(foo)",
            "1:13: parse error: unexpected <op:==> in grouping opts, expected label",
        ),
        (
            "topk(some_metric)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "rate(foo[5m],)",
            "1:13: parse error: trailing commas not allowed in function call args",
        ),
        ("rats(foo[5m])", "1:1: parse error: unknown function with name \"rats\""),
        ("a - on(b) ignoring(c) d", "1:11: parse error: unexpected <ignoring>"),
        ("foo[1/0]", "1:6: parse error: division by zero"),
        ("foo[1%0s]", "1:6: parse error: modulo by zero"),
        ("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
        (
            "foo[5m+]",
            "1:8: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo offset x",
            "1:12: parse error: unexpected identifier \"x\" in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo offset step() [5m]",
            "1:19: parse error: no offset modifiers allowed before range",
        ),
        (
            "foo[5m] anchored smoothed",
            "1:1: parse error: anchored and smoothed modifiers cannot be used together",
        ),
        (
            "foo[5m:] smoothed",
            "1:1: parse error: smoothed modifier is not supported for subqueries",
        ),
        ("1 anchored", "1:1: parse error: anchored modifier not implemented"),
        ("a + fill(b) c", "1:10: parse error: unexpected identifier \"b\""),
        ("a + fill(1) fill_left(1) c", "1:22: parse error: unexpected \"(\""),
        (
            "info({}, {})",
            "1:6: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo\n  + bar{",
            "2:9: parse error: unexpected end of input inside braces",
        ),
        (
            "foo{a=~\"\\xff.\"}",
            "1:5: parse error: error parsing regexp: invalid UTF-8: `\u{fffd}.`",
        ),
        (
            "sum(foo) by (\"\\xff\")",
            "1:14: parse error: invalid label name for grouping: \"\\xff\"",
        ),
    ] {
        let found = parse(text).map_or_else(|error| error.to_string(), |expr| format!("accepted as {expr}"));
        if found != expected {
            wrong.push(format!("{text}\n  found:    {found}\n  expected: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let error = parse("foo{a=b}").unwrap_err();
    assert_eq!(
        (error.expected.as_str(), error.span.start, error.span.end),
        ("string", 6, 7)
    );
}

#[test]
fn what_upstream_drops_or_writes_otherwise_is_printed_so() {
    for (text, expected) in [
        ("foo + on() 1", "foo + 1"),
        ("1 > bool on() group_left() foo", "1 > bool foo"),
        ("foo + on() (1)", "foo + (1)"),
        ("foo + on() bar", "foo + on () bar"),
        ("a + fill(1000000) b", "a + fill (1e+06) b"),
        (
            "a + fill_left(NaN) fill_right(-0.00001) b",
            "a + fill_left (NaN) fill_right (-1e-05) b",
        ),
        ("a + fill(+Inf) 1000000 * b", "a + fill (+Inf) 1000000 * b"),
        // What bytes that are no UTF-8 would be read as.
        (r#""\ufffd""#, r#""\ufffd""#),
        (r#"{"\ufffd"="\uFFFD"}"#, r#"{"\ufffd"="\ufffd"}"#),
        (r#"sum by ("\ufffd") (a)"#, r#"sum by ("\ufffd") (a)"#),
    ] {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected, "{text}");
    }
}

#[test]
fn duration_expressions_are_parsed_where_lengths_stand() {
    for (text, expected) in [
        ("foo[5m+1m]", "foo[5m + 1m]"),
        ("foo[(5m)]", "foo[(5m)]"),
        ("foo[ STEP( ) ]", "foo[step()]"),
        ("foo[-5m + 10m]", "foo[-5m + 10m]"),
        ("foo[+300]", "foo[5m]"),
        ("foo[-2^2+1h]", "foo[-2 ^ 2 + 1h]"),
        ("foo[2 * -3 + 1h:-range()]", "foo[2 * -3 + 1h:-range()]"),
        ("foo[5m:1m*2] @ 5", "foo[5m:1m * 2] @ 5.000"),
        ("foo[max_of(1m,min_of(step(),2))]", "foo[max_of(1m, min_of(step(), 2))]"),
        ("foo offset -(5)", "foo offset -(5)"),
        ("foo offset --5", "foo offset 5s"),
        ("foo offset - -1m * 2", "foo offset (1m * 2)"),
        ("foo offset -step()", "foo offset -step()"),
        // A literal, a call and a group behind a sign end the offset; a bare group does not.
        ("foo offset 100 + 2", "foo offset 1m40s + 2"),
        ("foo offset step()*2", "foo offset step() * 2"),
        ("foo offset -(1m)*2", "foo offset -(1m) * 2"),
        ("foo offset (1m)*2", "foo offset (1m) * 2"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected, "{text}");
    }
    let is_binary = |text: &str| matches!(parse(text).unwrap().kind, ExprKind::Binary(_));
    assert!(is_binary("foo offset 1m * 2") && is_binary("foo offset -(1m) * 2") && is_binary("foo offset range() ^ 2"));
    assert!(!is_binary("foo offset (1m) * 2") && !is_binary("foo offset - -1m * 2"));
}

#[test]
fn modifiers_of_three_sixteen_are_kept() {
    for (text, expected) in [
        ("a + FILL ( 0 ) b", "a + fill (0) b"),
        (
            "a == bool on(x) fill_right(-5m) fill_left(inf) b",
            "a == bool on (x) fill_left (+Inf) fill_right (-300) b",
        ),
        (
            "a + ignoring(x) group_left(y) fill_left(1) b",
            "a + ignoring (x) group_left (y) fill_left (1) b",
        ),
        ("a + fill(nan) b", "a + fill_left (NaN) fill_right (NaN) b"),
        ("foo[5m] anchored @ 1 offset 1m", "foo[5m] anchored @ 1.000 offset 1m"),
        ("foo @ 1 offset 1m smoothed", "foo @ 1.000 smoothed offset 1m"),
        ("foo anchored [5m]", "foo[5m] anchored"),
        ("foo </ 3 >/ bar", "foo </ 3 >/ bar"),
        ("info(foo)", "info(foo)"),
        ("info(foo, {})", "info(foo, {})"),
        (
            "info(foo{a=\"b\"}, {data=~\".*\"})",
            "info(foo{a=\"b\"}, {data=~\".*\"})",
        ),
        ("5m * -1h", "5m * -1h"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected, "{text}");
    }
}

#[test]
fn what_may_have_been_meant_is_suggested() {
    for (text, expected) in [
        ("rats(foo[5m])", Some("rate")),
        ("summ(foo)", Some("sum")),
        ("foo ofset 5m", Some("offset")),
        ("sum(a) bz (x)", Some("by")),
        ("a * om (x) b", Some("on")),
        ("a * on (x) group_left (y) fil (0) b", Some("fill")),
        ("foo anchorde", None),
        ("foo[5m] anchord", Some("anchored")),
        ("foo a", None),
        ("foo bar", None),
        ("qqqqqq(1)", None),
    ] {
        assert_eq!(parse(text).unwrap_err().suggestion.as_deref(), expected, "{text}");
    }
}

#[test]
fn what_is_experimental_needs_its_feature() {
    for (text, feature, expected) in [
        (
            "1 + info(foo)",
            "promql-experimental-functions",
            "1:5: parse error: function \"info\" is not enabled",
        ),
        (
            "sum(limitk(1, foo))",
            "promql-experimental-functions",
            "1:5: parse error: limitk() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
        ),
        (
            "(a + fill(0) b)",
            "promql-binop-fill-modifiers",
            "1:2: parse error: binop fill modifiers are experimental and not enabled",
        ),
        (
            "http.requests{équipe=\"x\"}",
            "promql-unquoted-utf8-names",
            "1:5: parse error: unexpected character: '.'",
        ),
        (
            "sum by (a.b, c) (温度)",
            "promql-unquoted-utf8-names",
            "1:10: parse error: unexpected character: '.'",
        ),
    ] {
        let error = parse_with(text, Features::NONE).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        let enabled = parse_with(text, feature.parse().unwrap());
        assert!(enabled.is_ok(), "{text}: {enabled:?}");
        let printed = enabled.unwrap().to_string();
        let again = parse_with(&printed, feature.parse().unwrap()).unwrap();
        assert_eq!(again.to_string(), printed, "{text}");
    }
}

/// What 3.16 prints, where it was asked with and without the feature.
#[test]
fn names_are_printed_without_quotes_as_far_as_they_were_read_so() {
    let on = "promql-unquoted-utf8-names".parse().unwrap();
    let mut wrong = Vec::new();
    for (text, without, with) in [
        ("{\"a.b\"}", "{__name__=\"a.b\"}", "{__name__=\"a.b\"}"),
        ("a{\"b.c\"=\"d\"}", "a{\"b.c\"=\"d\"}", "a{b.c=\"d\"}"),
        ("a{\"équipe\"=~\"d\"}", "a{\"équipe\"=~\"d\"}", "a{équipe=~\"d\"}"),
        ("a{\"0b\"!=\"d\"}", "a{\"0b\"!=\"d\"}", "a{\"0b\"!=\"d\"}"),
        ("a{\"b:c\"=\"d\"}", "a{\"b:c\"=\"d\"}", "a{\"b:c\"=\"d\"}"),
        (
            "sum by (\"b.c\", \"b-c\", d) (a)",
            "sum by (\"b.c\", \"b-c\", d) (a)",
            "sum by (b.c, \"b-c\", d) (a)",
        ),
        (
            "a * on (\"b.c\") group_left (\"é\", \"b c\") b",
            "a * on (\"b.c\") group_left (\"é\", \"b c\") b",
            "a * on (b.c) group_left (é, \"b c\") b",
        ),
        (
            "sum by (b:c) (a)",
            "sum by (\"b:c\") (a)",
            "1:9: parse error: invalid label name for grouping: \"b:c\"",
        ),
        (
            "a.b{c=\"d\"}",
            "1:2: parse error: unexpected character: '.'",
            "a.b{c=\"d\"}",
        ),
    ] {
        for (features, expected) in [(Features::NONE, without), (on, with)] {
            let found = parse_with(text, features).map_or_else(|error| error.to_string(), |expr| expr.to_string());
            if found != expected {
                wrong.push(format!("{text}\n  found:    {found}\n  expected: {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_that_are_no_utf8_are_printed_as_they_were_read() {
    for text in [
        r#"{a="\xff"}"#,
        r#"foo{a!="b\xffc",b=~"\xff|d",c!~"\xe2\x82"}"#,
        r#"{"\xff"="a"}"#,
        r#"{__name__="\xff"}"#,
    ] {
        let once = parse(text).unwrap().to_string();
        assert_eq!(parse(&once).unwrap(), parse(text).unwrap(), "{text}");
        assert_eq!(once, text);
    }
}

#[test]
fn reserved_words_may_name_metrics_and_labels() {
    for text in [
        "sum",
        "by",
        "offset",
        "fill + fill",
        "start{end=\"x\"}",
        "and and and",
        "a + on (on) group_left (bool) sum",
        "STEP",
    ] {
        printed(text);
    }
    for text in ["on", "bool", "atan2", "ignoring", "group_left"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn depth_and_length_are_limited() {
    let deep = |n: usize| {
        [
            format!("{}1{}", "(".repeat(n), ")".repeat(n)),
            format!("{}foo", "-".repeat(n)),
            vec!["foo"; n + 1].join(" or "),
            vec!["2"; n + 1].join("^"),
            format!("foo{}", "[5m:]".repeat(n)),
            format!("{}foo{}", "abs(".repeat(n), ")".repeat(n)),
            format!("{}foo{}", "sum(".repeat(n), ")".repeat(n)),
            format!("foo[{}1{}]", "(".repeat(n), ")".repeat(n)),
            format!("foo[{}step()]", "-".repeat(n)),
            format!("foo offset ({})", vec!["1"; n].join("+")),
        ]
    };
    for text in deep(200) {
        assert!(parse(&text).is_ok(), "{text}");
    }
    for text in deep(260).into_iter().chain(deep(20_000)) {
        let error = parse(&text).unwrap_err();
        assert!(error.message.contains("nested deeper than 250 levels"), "{error}");
    }
    let error = parse(&format!("foo{{a=\"{}\"}}", "x".repeat(MAX_TEXT_BYTES))).unwrap_err();
    assert!(error.message.contains("longer than"), "{error}");
}

#[test]
fn windows_below_a_millisecond_are_written_as_they_were_and_steps_are_refused() {
    for text in ["m[0.0001]", "rate(m[0.0000001])", "m[0.0009:1m]"] {
        assert_eq!(parse(text).map(|expr| expr.to_string()).as_deref(), Ok(text));
    }
    for (text, expected) in [
        ("m[1m:0.0001]", "1:6: parse error: duration must be at least 1ms"),
        ("m[0]", "1:3: parse error: duration must be greater than 0"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }
}

/// Words that make up most of the grammar, so that a good part of the sequences parses.
const WORDS: [&str; 62] = [
    "foo",
    "bar:x",
    "sum",
    "topk",
    "rate",
    "start",
    "and",
    "or",
    "unless",
    "atan2",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "anchored",
    "fill",
    "nan",
    "inf",
    "1",
    "0x1f",
    "5m",
    "1e3",
    ".5",
    "\"a\"",
    "'b'",
    "`c`",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[1h:1m]",
    "{a=\"b\",c!~\"d.*\"}",
    ",",
    "+",
    "-",
    "*",
    "^",
    "==",
    "@",
    "@ 5",
    "#\n",
    "smoothed",
    "fill_left(1)",
    "fill_right(-2m)",
    "fill(0)",
    "[step()+1]",
    "[max_of(5m,1)",
    "step()",
    "range()",
    "</",
    ">/",
    "/",
    "info(",
    "{}",
    "min_of(1,2)",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_parses_is_printed_so_that_it_parses_to_the_same(
        words in prop::collection::vec(prop::sample::select(&WORDS[..]), 1..10),
    ) {
        let text = words.join(" ");
        match parse(&text) {
            Ok(expr) => {
                let printed = expr.to_string();
                let again = parse(&printed);
                prop_assert!(again.is_ok(), "{} -> {}: {:?}", text, printed, again);
                prop_assert_eq!(again.map(|e| e.to_string()), Ok(printed), "{}", text);
                let _ = crate::check::check(&text, &expr);
            }
            Err(error) => {
                prop_assert!(error.span.start <= error.span.end && error.span.end as usize <= text.len(), "{}: {:?}", text, error);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", bytes in "[ -~\n]{0,40}") {
        for text in [text, bytes] {
            let _ = crate::check::parse_checked(&text);
        }
    }
}

#[test]
fn regular_expressions_are_bounded_together() {
    let query = |times| format!("m{{{}}}", vec![r#"a=~"\\pL{5}""#; times].join(","));
    assert!(parse(&query(2)).is_ok());
    let error = parse(&query(40)).unwrap_err().to_string();
    assert!(error.contains("too large together"), "{error}");
    // Selectors of one request count together, and so do those behind one that is refused.
    let (one, mut selectors) = (r#"{a=~"\\pL{5}"}"#, Selectors::new(Features::NONE));
    let all: Vec<_> = (0..40).map(|_| selectors.parse(one)).collect();
    assert!(all[0].is_ok() && parse_selector(one, Features::NONE).is_ok());
    let error = all[39].as_ref().unwrap_err().to_string();
    assert!(error.contains("too large together"), "{error}");
    assert!(selectors.parse("up").is_ok(), "what needs no engine has room");
    // Alternatives need no engine.
    assert!(parse(&format!("m{{{}}}", vec![r#"a=~"b|c""#; 2_000].join(","))).is_ok());
}
