//! The two lanes together read exactly what a plain, slow, strict reader reads.

use leadline_exposition::{Event, Kind, Parser, parse_float, parse_labels};
use leadline_model::Labels;
use proptest::prelude::*;

type Sample = (Labels, u64, Option<i64>);

fn two_lanes(text: &[u8]) -> Option<Vec<Sample>> {
    let mut parser = Parser::new(text);
    let mut out = Vec::new();
    while let Some(event) = parser.next_event().ok()? {
        if let Event::Sample {
            series,
            value,
            timestamp,
        } = event
        {
            out.push((parse_labels(series, Kind::Untyped).ok()?, value.to_bits(), timestamp));
        }
    }
    Some(out)
}

/// Reads from left to right, character by character, as the grammar of the format is written down.
struct Plain<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Plain<'_> {
    fn blanks(&mut self) -> usize {
        let mut count = 0;
        while self.chars.next_if(|c| *c == ' ' || *c == '\t').is_some() {
            count += 1;
        }
        count
    }

    fn word(&mut self, colon: bool) -> Option<String> {
        let mut out = String::new();
        while let Some(c) = self.chars.next_if(|c| {
            c.is_ascii_alphabetic() || *c == '_' || (colon && *c == ':') || (!out.is_empty() && c.is_ascii_digit())
        }) {
            out.push(c);
        }
        (!out.is_empty()).then_some(out)
    }

    fn quoted(&mut self) -> Option<String> {
        self.chars.next_if_eq(&'"')?;
        let mut out = String::new();
        loop {
            match self.chars.next()? {
                '"' => return Some(out),
                '\\' => match self.chars.next()? {
                    'n' => out.push('\n'),
                    c @ ('"' | '\\') => out.push(c),
                    c => out.extend(['\\', c]),
                },
                c => out.push(c),
            }
        }
    }

    fn line(&mut self) -> Option<Sample> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        if let Some(name) = self.word(true) {
            pairs.push(("__name__".to_owned(), name));
        }
        let blanks = self.blanks();
        if self.chars.next_if_eq(&'{').is_some() {
            self.labels(&mut pairs)?;
        } else if blanks == 0 {
            return None;
        }
        let mut names: Vec<&String> = pairs.iter().map(|(n, _)| n).collect();
        names.sort();
        let unique = names.windows(2).all(|w| w[0] != w[1]);
        let named = pairs.iter().any(|(n, v)| n == "__name__" && !v.is_empty());
        let empty_name = pairs.iter().any(|(n, _)| n.is_empty());
        (unique && named && !empty_name).then_some(())?;
        let tail: String = self.chars.by_ref().collect();
        let words: Vec<&str> = tail.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
        (words.len() == 1 || words.len() == 2).then_some(())?;
        let value = parse_float(words[0].as_bytes())?;
        let timestamp = match words.get(1) {
            Some(w) if w.bytes().all(|b| b.is_ascii_digit()) => Some(w.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        Some((Labels::from_pairs(pairs), value.to_bits(), timestamp))
    }

    fn labels(&mut self, pairs: &mut Vec<(String, String)>) -> Option<()> {
        loop {
            self.blanks();
            if self.chars.next_if_eq(&'}').is_some() {
                return Some(());
            }
            let quoted = self.chars.peek() == Some(&'"');
            let name = if quoted { self.quoted()? } else { self.word(false)? };
            self.blanks();
            if self.chars.next_if_eq(&'=').is_some() {
                self.blanks();
                // The metric name is written in quotes alone, never as a label.
                let value = self.quoted()?;
                (name != "__name__").then_some(())?;
                pairs.push((name, value));
            } else if quoted && matches!(self.chars.peek(), Some(',' | '}')) {
                pairs.push(("__name__".to_owned(), name));
            } else {
                return None;
            }
            self.blanks();
            self.chars.next_if_eq(&',');
        }
    }
}

fn plain(text: &str) -> Option<Vec<Sample>> {
    text.split('\n')
        .map(|line| line.trim_start_matches([' ', '\t']))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            Plain {
                chars: line.chars().peekable(),
            }
            .line()
        })
        .collect()
}

/// Pieces that lines are made of, the awkward ones included.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b_c",
        "x:y",
        "9",
        "1",
        "0.5",
        "NaN",
        "+Inf",
        "1e3",
        "12345",
        " ",
        " ",
        "\t",
        "{",
        "}",
        "=",
        ",",
        "\"",
        "\"v\"",
        "\"v w\"",
        "\"} 1\"",
        "\"é\"",
        "\\",
        "\\\"",
        "\\n",
        "#",
        "\n",
        "l=\"v\"",
        "l=\"w\"",
        "m=\"} 2\"",
        "{}",
        "} 1",
        "a{l=\"v\"} 1\n",
        "\"q.n\"",
        "__name__",
        "\r",
        "\0",
        "'",
        "-1",
    ])
}

/// Lines that are nearly right.
fn nearly() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        Just("l=\"v\"".to_owned()),
        Just("\"m.n\"".to_owned()),
        "[a-c]{1,2} ?= ?\"[ -~é]{0,6}\"",
        "\"[ -~]{0,3}\"=\"[ -~]{0,3}\"",
    ];
    let labels = prop::collection::vec(label, 0..4).prop_map(|l| l.join(","));
    (
        "[a-z:]{0,3} ?",
        prop::option::of(labels),
        "[ \t]{0,2}",
        "[0-9.eInNaf+-]{1,4}",
        "( [0-9]{1,3})?[ \t]?",
    )
        .prop_map(|(name, labels, gap, value, tail)| match labels {
            Some(labels) => format!("{name}{{{labels}}}{gap}{value}{tail}\n"),
            None => format!("{name}{gap}{value}{tail}\n"),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_are_read_alike(pieces in prop::collection::vec(piece(), 0..14)) {
        let text = pieces.concat();
        prop_assert_eq!(two_lanes(text.as_bytes()), plain(&text));
    }

    #[test]
    fn nearly_right_lines_are_read_alike(line in nearly()) {
        prop_assert_eq!(two_lanes(line.as_bytes()), plain(&line));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        two_lanes(&bytes);
    }
}
