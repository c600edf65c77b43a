//! Go's syntax and semantics as tables; fast paths against the engine at random.

use super::*;
use proptest::prelude::*;

#[test]
fn values_match_as_go_matches_them() {
    for (pattern, yes, no) in [
        ("foo", &["foo"][..], &["", "fooo", "xfoo", "foo\n"][..]),
        ("", &[""], &["a"]),
        ("foo|bar", &["foo", "bar"], &["foobar", "fo"]),
        ("a(b|c)d", &["abd", "acd"], &["ad", "abcd"]),
        ("foo.*", &["foo", "foo\nbar"], &["fo", "xfoo"]),
        ("foo.+", &["foox", "foo\n"], &["foo"]),
        (".*foo", &["foo", "xfoo"], &["foox"]),
        (".*foo.*", &["foo", "xfooy"], &["fo"]),
        ("a.*a", &["aa", "aba"], &["a"]),
        (".+", &["a", "\n"], &[""]),
        (".*", &["", "a\nb"], &[]),
        ("(?-s).*", &["", "ab"], &["a\nb"]),
        (r"\d+", &["123"], &["", "1a", "١"]),
        (r"\D", &["a", "١"], &["1"]),
        (r"\w", &["_", "9", "a"], &["é", "-"]),
        (r"\s", &[" ", "\t", "\u{c}"], &["\u{b}", "\u{a0}"]),
        (r"[\d\s]+", &["1 2"], &["a"]),
        (r"[^\w]", &["é"], &["a"]),
        (r".*\bfoo\b.*", &["foo", "a foo", "éfoo"], &["xfoo", "foox"]),
        (r"a\B.", &["ab"], &["a-"]),
        (r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb*"]),
        (r"\Qa.b", &["a.b"], &["axb"]),
        (r"\Afoo\z", &["foo"], &["foo\n"]),
        (r"^foo$", &["foo"], &["foo\n"]),
        ("(?i)foo", &["FOO", "fOo"], &["fo"]),
        ("(?i)k", &["k", "K", "\u{212a}"], &["x"]),
        ("(?i)straße", &["STRAßE", "\u{17f}traße"], &["strasse"]),
        ("(?i:a)b", &["Ab", "ab"], &["aB"]),
        ("(?i)a(?-i)b", &["Ab"], &["AB"]),
        ("(?U)a+", &["aaa"], &[""]),
        (r"(?P<n>a)(?<m>b)", &["ab"], &["a"]),
        ("[[:alpha:]]+", &["ab"], &["1", "é"]),
        ("[[:^digit:]]", &["a"], &["1"]),
        ("[[:word:]-]", &["_", "-"], &["."]),
        (r"\pN", &["1", "١"], &["a"]),
        (r"\p{Greek}", &["α"], &["a"]),
        (r"\P{Greek}", &["a"], &["α"]),
        (r"\p{^Greek}", &["a"], &["α"]),
        (r"\x41\x{1F600}\101\012\t", &["A\u{1F600}A\n\t"], &[]),
        (r"[]a]", &["]", "a"], &["["]),
        (r"[^]a]", &["b"], &["]"]),
        (r"[a\]]", &["]"], &["\\"]),
        (r"[a&&b]", &["&", "a", "b"], &["c"]),
        (r"[[a]", &["[", "a"], &["]"]),
        (r"[a-]", &["-", "a"], &["b"]),
        (r"[a-c-e]", &["b", "-", "e"], &["d"]),
        (r"[+--]", &["+", ",", "-"], &["."]),
        ("a{2}", &["aa"], &["a", "aaa"]),
        ("a{2,}", &["aaa"], &["a"]),
        ("a{,2}", &["a{,2}"], &["aa"]),
        ("a{x}", &["a{x}"], &["a"]),
        ("a{01}", &["a{01}"], &["a"]),
        ("a??b", &["b", "ab"], &["aab"]),
        ("(?)a", &["a"], &["b"]),
        ("a b#c", &["a b#c"], &["abc"]),
        // What Prometheus before 3.15 got wrong: case folding in optimised alternations and contained literals, and a
        // capturing group beside a literal.
        ("(?i)(foo|BAR).*", &["Foox", "bar"], &["xfoo"]),
        ("(?i).*foo.*", &["xFOOy", "foo"], &["fo"]),
        ("(?i)foo|bar", &["FOO", "Bar"], &["fo"]),
        (r".*\|(foo)\|.*", &["|foo|", "a|foo|b"], &["foo", "|fo|", "a|b"]),
        (r".*(foo).*", &["xfooy"], &["fo"]),
        ("(foo)bar(baz)?", &["foobar", "foobarbaz"], &["foo"]),
    ] {
        let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        yes.iter()
            .for_each(|value| assert!(regex.is_match(value), "{pattern} should match {value:?}"));
        no.iter()
            .for_each(|value| assert!(!regex.is_match(value), "{pattern} should not match {value:?}"));
    }
}

#[test]
fn what_go_refuses_is_refused_with_the_place() {
    for (pattern, part) in [
        ("(", "missing closing ) at byte 1"),
        (")", "unexpected ) at byte 0"),
        ("a)|(b", "unexpected ) at byte 1"),
        ("[a", "missing closing ] at byte 0"),
        ("*a", "missing argument to repetition operator at byte 0"),
        ("a**", "invalid nested repetition operator at byte 2"),
        ("a|*", "missing argument"),
        ("(+)", "missing argument"),
        ("a{1001}", "invalid repeat count at byte 1"),
        ("a{2,1}", "invalid repeat count"),
        ("a{99999999999}", "invalid repeat count"),
        ("(a{100}){100}", "invalid repeat count"),
        ("((a{10}){10}){11}", "invalid repeat count"),
        (r"\C", "invalid escape sequence at byte 0"),
        (r"a\Z", "invalid escape sequence at byte 1"),
        (r"\E", "invalid escape sequence"),
        (r"\1", "invalid escape sequence"),
        (r"\8", "invalid escape sequence"),
        (r"\xg0", "invalid escape sequence"),
        (r"\x{110000}", "invalid escape sequence"),
        ("a\\", "trailing backslash at end of expression at byte 1"),
        (r"\pX", "invalid character class range at byte 0"),
        (r"[z-a]", "invalid character class range"),
        ("[[:foo:]]", "invalid character class range"),
        ("(?=a)", "invalid or unsupported Perl syntax"),
        ("(?<=a)", "invalid named capture"),
        ("(?x)a", "invalid or unsupported Perl syntax"),
        ("(?P=n)", "invalid or unsupported Perl syntax"),
        ("(?i", "invalid or unsupported Perl syntax"),
    ] {
        let error = Regex::new(pattern).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(part), "{pattern}: {error:?} lacks {part:?}");
    }
}

#[test]
fn what_go_refuses_is_told_in_its_words_too() {
    for (pattern, words) in [
        ("*", "missing argument to repetition operator: `*`"),
        ("(+?)", "missing argument to repetition operator: `+?`"),
        ("a|{2}", "missing argument to repetition operator: `{2}`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*?{2}?b", "invalid nested repetition operator: `*?{2}?`"),
        ("ab{2,1}c", "invalid repeat count: `{2,1}`"),
        ("(a{500}){3}", "invalid repeat count: `{3}`"),
        ("(a)b)c", "unexpected ): `(a)b)c`"),
        ("x(a", "missing closing ): `x(a`"),
        ("x[a", "missing closing ]: `[a`"),
        ("x[a-", "missing closing ]: `[a-`"),
        ("[xz-a]", "invalid character class range: `z-a`"),
        ("[x[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"a\pX", r"invalid character class range: `\pX`"),
        (r"[\p{Nosuch}]", r"invalid character class range: `\p{Nosuch}`"),
        (r"a\p{Gre", r"invalid character class range: `\p{Gre`"),
        (r"[a-\d]", r"invalid escape sequence: `\d`"),
        (r"a\8b", r"invalid escape sequence: `\8`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\x{}", r"invalid escape sequence: `\x{}`"),
        (r"\x4", r"invalid escape sequence: `\x4`"),
        (r"\x4z5", r"invalid escape sequence: `\x4z`"),
        (r"a\", "trailing backslash at end of expression: ``"),
        ("a(?P<n", "invalid named capture: `(?P<n`"),
        ("a(?P<1-2>b)", "invalid named capture: `(?P<1-2>`"),
        ("(?P<", "invalid or unsupported Perl syntax: `(?P`"),
        ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-:a)", "invalid or unsupported Perl syntax: `(?i-:`"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
    ] {
        let error = Regex::new(pattern).map(|_| ()).unwrap_err();
        assert_eq!(
            error.in_words_of_go(),
            format!("error parsing regexp: {words}"),
            "{pattern}"
        );
    }
    let nested = format!("{}a{}", "(".repeat(900), ")".repeat(900));
    let error = Regex::new(&nested).map(|_| ()).unwrap_err();
    assert_eq!(error.in_words_of_go(), error.to_string());
}

#[test]
fn of_groups_with_one_name_the_first_that_matched_is_meant() {
    let regex = Regex::new("(?P<n>a)?(?P<n>b)?(?P<n>c)").unwrap();
    for (value, expected) in [("abc", "a"), ("bc", "b"), ("c", "c")] {
        assert_eq!(regex.expand(value, "${n}").as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn limits_hold_against_patterns_from_outside() {
    // The longest patterns that need no engine to match still have one to expand with.
    let alternatives: Vec<String> = (100..356).map(|i| format!("{i}{}", "é".repeat(125))).collect();
    for (pattern, value) in [
        ("a".repeat(MAX_PATTERN_BYTES), "a".repeat(MAX_PATTERN_BYTES)),
        (alternatives.join("|"), alternatives[7].clone()),
        (format!("({})", "[a-c]?".repeat(4)), "abc".to_owned()),
        (
            format!("{}.*", "a".repeat(MAX_PATTERN_BYTES - 2)),
            "a".repeat(MAX_PATTERN_BYTES),
        ),
    ] {
        let regex = Regex::new(&pattern).unwrap();
        assert!(!matches!(regex.0.shape, Shape::Other), "{:?}", abbreviated(&pattern));
        assert_eq!(regex.expand(&value, "$0").as_deref(), Some(value.as_str()));
    }
    assert!(
        Regex::new(&"a".repeat(MAX_PATTERN_BYTES + 1))
            .unwrap_err()
            .reason
            .contains("longer than")
    );
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Regex::new(&nested(200)).is_ok());
    assert!(Regex::new(&nested(10_000)).unwrap_err().reason.contains("nest"));
    assert!(Regex::new(r"(\pL{100}\pL{100}){10}\pL{999}").is_err());
    // Of few ranges, but so often that only building it tells.
    assert!(Regex::new(&r"[^\x00-é]{1000}".repeat(100)).is_err());
    // What has just as many parts as are taken for small is far from what an engine refuses.
    let widest = (100..140).rev().map(|n| format!(r"[^\x00-é]{{{n}}}x"));
    let small = widest
        .map(|p| Regex::new(&p).unwrap())
        .find(|r| r.0.engine.get().is_none());
    assert!(small.is_some_and(|r| r.0.build().is_ok_and(|_| r.pattern().len() > 14)));
}

#[test]
fn sets_and_prefixes_are_exposed() {
    for (pattern, set, prefix) in [
        ("foo", Some(vec!["foo"]), "foo"),
        ("b|a|b", Some(vec!["a", "b"]), ""),
        ("foo(bar|baz)", Some(vec!["foobar", "foobaz"]), "fooba"),
        ("(a|b)(1|2)", Some(vec!["a1", "a2", "b1", "b2"]), ""),
        ("ab?[cd]", Some(vec!["abc", "abd", "ac", "ad"]), "a"),
        ("(?i)a1", Some(vec!["A1", "a1"]), ""),
        ("a\\.b|c", Some(vec!["a.b", "c"]), ""),
        ("|a", Some(vec!["", "a"]), ""),
        ("foo.*", None, "foo"),
        ("foo.+bar", None, "foo"),
        ("foo[0-9]+", None, "foo"),
        ("(foo)[0-9]+", None, "foo"),
        ("foo|bar.*", None, ""),
        (".*", None, ""),
        ("a{1000}|b.*", None, ""),
    ] {
        let regex = Regex::new(pattern).unwrap();
        let found = regex
            .set()
            .map(|set| set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((found, regex.prefix()), (set, prefix), "{pattern}");
    }
    let many: Vec<String> = (0..300).map(|i| format!("pod{i}")).collect();
    assert_eq!(
        Regex::new(&many[..256].join("|")).unwrap().set().map(<[_]>::len),
        Some(256)
    );
    let more = Regex::new(&many.join("|")).unwrap();
    assert!(more.set().is_none() && more.is_match("pod299") && !more.is_match("pod300"));
}

#[test]
fn templates_expand_by_gos_rules() {
    for (pattern, value, template, expected) in [
        ("(.*)-(.*)", "a-b", "$2-$1", Some("b-a")),
        ("(a)(b)", "ab", "${1}x$2", Some("axb")),
        ("(a)(b)", "ab", "$1x", Some("")),
        ("(a)", "a", "$1-", Some("a-")),
        ("(a)", "a", "$$1", Some("$1")),
        ("(a)", "a", "$", Some("$")),
        ("(a)", "a", "$-", Some("$-")),
        ("(a)", "a", "${1", Some("${1")),
        ("(a)", "a", "${}", Some("${}")),
        ("(a)", "a", "$2", Some("")),
        ("(a)", "a", "$01", Some("")),
        ("(a)", "a", "$0", Some("a")),
        ("(?P<x>a)(?P<xy>b)", "ab", "$xy$x", Some("ba")),
        ("(?P<1x>a)", "a", "$1x", Some("a")),
        ("(a)|b", "b", "[$1]", Some("[]")),
        ("foo", "foo", "bar", Some("bar")),
        ("foo", "x", "bar", None),
        ("(a)(?:b)?", "a", "é${1}é$1é", Some("éaé")),
    ] {
        assert_eq!(
            Regex::new(pattern).unwrap().expand(value, template).as_deref(),
            expected,
            "{pattern} {template}"
        );
    }
}

/// Patterns over a small alphabet, so that values hit them often.
fn patterns() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[abé]{1,3}",
        Just(".*".to_owned()),
        Just(".+".to_owned()),
        Just(".".to_owned()),
        Just("[ab]".to_owned()),
        Just("\\d".to_owned()),
        Just("(?i:ab)".to_owned()),
        Just("a?".to_owned()),
        Just("b*".to_owned()),
    ];
    atom.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            inner.prop_map(|part| format!("(?:{part})?")),
        ]
    })
}

/// Patterns of the signs that their reader by the text knows, right and wrong.
fn texts() -> impl Strategy<Value = String> {
    const WORDS: [&str; 25] = [
        "a", "b", "é", "ab", "\\.", "\\-", "\\d", ".", ".*", ".+", ".*?", "|", "|", "(", "(?:", "(?i:", ")", ")", "?",
        "{2}", "{", "[a]", "^", "$", "-",
    ];
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..8).prop_map(|words| words.concat())
}

#[test]
fn what_autoscalers_and_dashboards_write_is_read_off_the_text() {
    for (pattern, shape) in [
        ("", Shape::Set(vec![String::new()])),
        ("web-1", Shape::Set(vec!["web-1".to_owned()])),
        (
            "b|a|b|",
            Shape::Set(vec![String::new(), "a".to_owned(), "b".to_owned()]),
        ),
        (
            "(x|y)-(?:1|2)",
            Shape::of_set(["x-1", "x-2", "y-1", "y-2"].map(String::from).into()),
        ),
        (r"10\.0\.0\.1:80", Shape::Set(vec!["10.0.0.1:80".to_owned()])),
        (".*", Shape::Any(0)),
        (".+", Shape::Any(1)),
        ("web-.*", Shape::Ends("web-".to_owned(), 0, String::new())),
        (".+-canary", Shape::Ends(String::new(), 1, "-canary".to_owned())),
        ("a.*b", Shape::Ends("a".to_owned(), 0, "b".to_owned())),
        (".*err.*", Shape::Contains("err".to_owned())),
    ] {
        assert_eq!(plain::shape(pattern, Alternatives::Few), Some(shape), "{pattern}");
    }
    for pattern in [
        "a.b",
        "a*",
        "(a)?",
        "a|b.*",
        "(?i:a)",
        "a{2}",
        "[ab]",
        "^a$",
        "(a",
        "a)",
        r"\d",
        "a.*?",
        &"a|".repeat(257),
        // Each group would copy all that is in front of it.
        &format!("{}{}", "(a|b)".repeat(8), "(x)".repeat(100)),
        &format!("({0}|{0}x)({0}|{0}y)", "abc".repeat(20_000)),
    ] {
        assert_eq!(plain::shape(pattern, Alternatives::Few), None, "{pattern}");
    }
}

proptest! {
    #[test]
    fn what_is_read_off_the_text_is_what_the_parser_finds(pattern in texts()) {
        if let Some(shape) = plain::shape(&pattern, Alternatives::Few) {
            let translated = translated(&pattern);
            prop_assert!(translated.is_ok(), "{}: {:?}", pattern, translated);
            let hir = regex_syntax::parse(&translated.unwrap_or_default());
            prop_assert!(hir.is_ok(), "{}", pattern);
            if let Ok(hir) = hir {
                prop_assert_eq!(shape, shape::of(&hir), "{}", pattern);
            }
        }
    }

    #[test]
    fn what_is_small_can_be_built(pattern in prop_oneof![patterns(), texts(), "\\PC{0,12}", "[ -~]{0,16}"]) {
        if let Ok(regex) = Regex::new(&pattern) {
            prop_assert!(regex.0.build().is_ok(), "{}", pattern);
            prop_assert_eq!(regex.matches_empty(), regex.is_match(""), "{}", pattern);
        }
    }

    #[test]
    fn fast_paths_decide_as_the_engine_does(pattern in patterns(), value in "[abABé1\n]{0,6}") {
        let regex = Regex::new(&pattern).unwrap();
        let engine = regex.0.build().unwrap();
        prop_assert_eq!(regex.is_match(&value), engine.is_match(&value), "{}", pattern);
        prop_assert!(!engine.is_match(&value) || value.starts_with(regex.prefix()), "{}", pattern);
        if let Some(set) = regex.set() {
            prop_assert_eq!(set.contains(&value), engine.is_match(&value), "{}", pattern);
            prop_assert!(set.iter().all(|v| engine.is_match(v)), "{}", pattern);
        }
    }

    #[test]
    fn nothing_panics_and_what_is_accepted_can_be_asked(pattern in "\\PC{0,12}", ascii in "[ -~]{0,16}", value in ".{0,8}") {
        for pattern in [pattern, ascii] {
            if let Ok(regex) = Regex::new(&pattern) {
                let engine = regex.0.build().unwrap();
                prop_assert_eq!(regex.is_match(&value), engine.is_match(&value), "{}", pattern);
                let _ = regex.expand(&value, &pattern);
            }
        }
    }
}

/// What a dashboard sends for "all" of a variable: all of its values.
#[test]
fn as_many_alternatives_are_looked_up_as_a_query_has_room_for() {
    let name = |i: u64| format!("checkout-service-{:016x}-{i}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let names: Vec<String> = (0..5_000).map(name).collect();
    for pattern in [
        names.join("|"),
        format!("({})", names.join("|")),
        format!("ns/(?:{})", names.join("|")),
    ] {
        assert!(pattern.len() > 2 * MAX_PATTERN_BYTES, "{}", pattern.len());
        let regex = Regex::to_match(&pattern).unwrap();
        let prefix = if pattern.starts_with("ns/") { "ns/" } else { "" };
        assert_eq!(regex.set().map(<[String]>::len), Some(names.len()));
        assert!(regex.is_match(&format!("{prefix}{}", names[4_321])) && !regex.is_match(prefix));
        assert_eq!(regex.weight(), 0);
        // What is expanded needs an engine.
        assert!(Regex::new(&pattern).is_err());
    }
}

#[test]
fn alternatives_that_grow_beyond_what_was_written_are_left_to_the_engine() {
    let grows = |head: usize, tails: usize| {
        let tails: Vec<String> = (0..tails).map(|i| format!("{i:04}")).collect();
        format!("{}({})", "h".repeat(head), tails.join("|"))
    };
    // (in front, behind, whether they are looked up)
    for (head, tails, listed) in [(10, 300, true), (60, 300, false), (900, 256, true), (1_100, 256, false)] {
        let regex = Regex::to_match(&grows(head, tails)).unwrap();
        assert_eq!(regex.set().is_some(), listed, "{head} {tails}");
        assert!(regex.is_match(&format!("{}0042", "h".repeat(head))), "{head} {tails}");
    }
    let twenty: Vec<String> = (10..30).map(|i| i.to_string()).collect();
    let both = format!("({0})({0})", twenty.join("|"));
    assert!(Regex::to_match(&both).unwrap().set().is_none());
    // Products, each of which is small.
    let products = vec!["(10|20|30|40)(1|2|3|4)(a|b)(x|y)"; 100].join("|");
    assert!(Regex::to_match(&products).unwrap().set().is_none());
    let long = |behind: &str| format!("{}{behind}", "a".repeat(MAX_LIST_BYTES));
    assert!(Regex::to_match(&long("")).is_ok() && Regex::to_match(&long("b")).is_err());
    assert!(Regex::to_match(&format!("{}b?", "a".repeat(MAX_PATTERN_BYTES))).is_err());
}
