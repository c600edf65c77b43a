//! What a text gives, and what it is refused for.

use leadline_exposition::{Event, Kind, Parser, parse_labels};

/// `series value [timestamp]` per sample, or the error.
fn read(text: &str) -> Result<Vec<String>, String> {
    let mut parser = Parser::new(text.as_bytes());
    let mut out = Vec::new();
    while let Some(event) = parser.next_event().map_err(|e| e.to_string())? {
        match event {
            Event::Sample { series, value, timestamp } => {
                let labels = parse_labels(series, parser.kind())
                    .map_err(|e| parser.error_in_series(e.offset, e.message).to_string())?;
                let at = timestamp.map(|t| format!(" @{t}")).unwrap_or_default();
                out.push(format!("{labels} {value}{at}"));
            }
            Event::Type { metric, kind } => out.push(format!("type {} {}", metric.escape_ascii(), kind.as_str())),
            Event::Help { metric, text } => out.push(format!("help {} {text}", metric.escape_ascii())),
        }
    }
    Ok(out)
}

#[test]
fn lines_give_what_prometheus_reads() {
    for (text, expected) in [
        ("a 1", vec!["a 1"]),
        ("a 1\n\n  \t\nb 2\n", vec!["a 1", "b 2"]),
        ("a{} 1", vec!["a 1"]),
        ("a{x=\"y\"} 1", vec!["a{x=\"y\"} 1"]),
        ("a{x=\"y\"}1", vec!["a{x=\"y\"} 1"]),
        ("a { x = \"y\" , z=\"w\", } 1", vec!["a{x=\"y\", z=\"w\"} 1"]),
        ("a{x=\"y\" z=\"w\"} 1", vec!["a{x=\"y\", z=\"w\"} 1"]),
        ("a\t1\t1000", vec!["a 1 @1000"]),
        ("a{x=\"y\"} 1 1000  ", vec!["a{x=\"y\"} 1 @1000"]),
        ("a{x=\"} 5\"} 1", vec!["a{x=\"} 5\"} 1"]),
        ("a{x=\"} y\"}1", vec!["a{x=\"} y\"} 1"]),
        ("a{x=\"a b\"}1 7", vec!["a{x=\"a b\"} 1 @7"]),
        ("a{x=\"#,{}= \"} 1", vec!["a{x=\"#,{}= \"} 1"]),
        ("  a 1", vec!["a 1"]),
        ("a{x=\"\"} 1", vec!["a 1"]),
        ("a:b_c9 1", vec!["a:b_c9 1"]),
        ("{\"my.metric\",\"l.x\"=\"v\"} 1", vec!["{\"my.metric\", \"l.x\"=\"v\"} 1"]),
        ("{x=\"y\",\"m\"} 1", vec!["m{x=\"y\"} 1"]),
        ("{\"m\"} 1", vec!["m 1"]),
        (r#"a{x="b\"c\\d\ne\q"} 1"#, vec![r#"a{x="b\"c\\d\ne\\q"} 1"#]),
        ("a NaN\nb +Inf\nc -inf", vec!["a NaN", "b inf", "c -inf"]),
        ("# just a comment\n#\n#HELP a b\n# HELPER x\n# TYPES x\na 1", vec!["a 1"]),
        ("# HELP a some text\n# TYPE a counter\na 1", vec!["help a some text", "type a counter", "a 1"]),
        ("#\tHELP  a\n#  TYPE \"b.c\" gauge", vec!["help a ", "type b.c gauge"]),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1", vec!["type a histogram", "a_bucket{le=\"1.0\"} 1"]),
        ("# TYPE a summary\na{quantile=\"5e-1\",le=\"1\"} 1", vec!["type a summary", "a{le=\"1\", quantile=\"0.5\"} 1"]),
        ("# TYPE a gauge\na{le=\"1\"} 1", vec!["type a gauge", "a{le=\"1\"} 1"]),
        ("# TYPE a histogram\na_bucket{le=\"x\"} 1", vec!["type a histogram", "a_bucket{le=\"x\"} 1"]),
        ("", vec![]),
    ] {
        assert_eq!(read(text), Ok(expected.into_iter().map(str::to_owned).collect()), "{text:?}");
    }
}

#[test]
fn errors_say_line_byte_and_what_was_expected() {
    for (text, expected) in [
        ("a", "line 1, byte 2: expected a value"),
        ("b 1\na x", "line 2, byte 3: expected a number"),
        ("a 1\r\n", "line 1, byte 3: expected a number, found one with a carriage return"),
        ("\r\n", "line 1, byte 2: expected a value"),
        ("a 1e999", "line 1, byte 3: expected a number"),
        ("a 1 1.5", "line 1, byte 5: expected a timestamp"),
        ("a 1 -5", "line 1, byte 5: expected a timestamp"),
        ("a 1 99999999999999999999", "line 1, byte 5: expected a timestamp"),
        ("a 1 5 6", "line 1, byte 7: expected the end of the line"),
        ("a 1 # {} 5", "line 1, byte 5: expected a timestamp"),
        ("a{x=\"y} 1", "line 1, byte 5: expected the closing quote of a label value"),
        ("a{x=\"y\" 1", "line 1, byte 3: expected a number"),
        ("a{x=\"y\"}} 1", "line 1, byte 9: expected a blank and a value"),
        ("a{x=y} 1", "line 1, byte 5: expected a label value in double quotes"),
        ("a{x='y'} 1", "line 1, byte 5: expected a label value in double quotes"),
        ("a{x} 1", "line 1, byte 4: expected ="),
        ("a{,} 1", "line 1, byte 3: expected a label name or }"),
        ("a{x=\"1\",,} 1", "line 1, byte 9: expected a label name or }"),
        ("a{1=\"1\"} 1", "line 1, byte 3: expected a label name or }"),
        ("a{x=\"1\",x=\"2\"} 1", "label \"x\" is there twice"),
        ("a{__name__=\"b\"} 1", "label \"__name__\" is there twice"),
        ("a{\"b\"} 1", "line 1, byte 3: the metric name is there twice"),
        ("{x=\"y\"} 1", "the metric name is missing"),
        ("{\"\"} 1", "expected a metric name of at least one character"),
        ("{\"m\",\"\"=\"v\"} 1", "expected a label name of at least one character"),
        ("  9a 1", "line 1, byte 3: expected a metric name or {"),
        ("a\0 1", "line 1, byte 2: expected a blank and a value"),
        ("# TYPE a strange", "line 1, byte 9: expected a type"),
        ("# TYPE a  gauge", "line 1, byte 9: expected a type"),
        ("# TYPE a", "line 1, byte 9: expected a type"),
        ("x 1\n# HELP ", "line 2, byte 8: expected a metric name"),
        ("# HELP \"a b", "line 1, byte 8: expected the closing quote"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_where_they_stand() {
    let mut parser = Parser::new(b"a{x=\"\xff\"} 1");
    let Ok(Some(Event::Sample { series, .. })) = parser.next_event() else { panic!("a sample was expected") };
    let error = parse_labels(series, Kind::Untyped).unwrap_err();
    assert_eq!((error.offset, error.message.as_str()), (5, "expected UTF-8"));
    let error = Parser::new(b"# HELP a \xff").next_event().unwrap_err();
    assert!(error.message.contains("UTF-8"), "{error}");
}

#[test]
fn what_is_too_long_is_refused() {
    let line = format!("a{{x=\"{}\"}} 1", "y".repeat(leadline_exposition::MAX_LINE_BYTES));
    assert!(read(&line).unwrap_err().contains("longer than"));
    let labels: String = (0..leadline_exposition::MAX_LABELS).map(|i| format!("l{i}=\"v\",")).collect();
    assert!(read(&format!("a{{{labels}}} 1")).unwrap_err().contains("at most 1024 labels"));
}

#[test]
fn after_an_error_the_walk_is_over() {
    let mut parser = Parser::new(b"a x\nb 1\n");
    assert!(parser.next_event().is_err());
    assert_eq!(parser.next_event(), Ok(None));
}
