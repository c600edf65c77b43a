//! Expressions that are wrong, or likely so: well-formed ones with a mistake in them.

use crate::catalogue::{AGGREGATIONS, FUNCTIONS, NUMBERS, PARAMETRIC, TEXTUAL};
use crate::question::Question;
use crate::random::Random;
use crate::tree::{Kind, Part, Tree};

/// A kind of mistake and what makes it; without effect where there is nothing to make it of.
pub(crate) struct Mistake {
    /// Its name.
    pub(crate) name: &'static str,
    make: fn(&Random, &mut Vec<String>),
}

/// Every kind of mistake but those of [`mistyped`].
const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a word dropped",
        make: |random, words| drop(words.remove(random.below(words.len()))),
    },
    Mistake {
        name: "a word doubled",
        make: |random, words| {
            let at = random.below(words.len());
            words.insert(at, words[at].clone());
        },
    },
    Mistake {
        name: "two words swapped",
        make: |random, words| {
            let at = random.below(words.len());
            let next = (at + 1) % words.len();
            words.swap(at, next);
        },
    },
    Mistake {
        name: "a word in another's place",
        make: |random, words| {
            let at = random.below(words.len());
            words[at] = format!("{} ", random.pick(WORDS));
        },
    },
    Mistake {
        name: "a word put in",
        make: |random, words| words.insert(random.below(words.len() + 1), format!(" {} ", random.pick(WORDS))),
    },
    Mistake {
        name: "cut off",
        make: |random, words| words.truncate(random.below(words.len()).max(1)),
    },
    Mistake {
        name: "a bad length of time",
        make: |random, words| replace(random, words, is_length, DURATIONS),
    },
    Mistake {
        name: "a bad regular expression",
        make: bad_regex,
    },
    Mistake {
        name: "a bad text",
        make: |random, words| replace(random, words, |word| word.starts_with('"'), TEXTS),
    },
    Mistake {
        name: "a bad number",
        make: |random, words| {
            replace(
                random,
                words,
                |word| word.starts_with(|c: char| c.is_ascii_digit()),
                NUMERALS,
            );
        },
    },
    Mistake {
        name: "a misspelt name",
        make: |random, words| misspell(random, words),
    },
    Mistake {
        name: "a character put in",
        make: |random, words| {
            let word = random.below(words.len());
            let ends: Vec<usize> = words[word].char_indices().map(|(at, _)| at).collect();
            let at = ends.get(random.below(ends.len().max(1))).copied().unwrap_or(0);
            words[word].insert(at, random.pick(CHARACTERS));
        },
    },
];

/// Words that mean something elsewhere.
const WORDS: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    "[5m:]",
    ",",
    ":",
    "+",
    "-",
    "*",
    "^",
    "==",
    "=",
    "!=",
    "=~",
    "!~",
    "!",
    "~",
    "<",
    "</",
    "@",
    "@ 5",
    "@ start()",
    "offset",
    "offset 5m",
    "offset -1h",
    "by",
    "by (job)",
    "without",
    "on",
    "on (job)",
    "ignoring (job)",
    "group_left",
    "group_right ()",
    "bool",
    "and",
    "or",
    "unless",
    "atan2",
    "fill(1)",
    "fill_left",
    "anchored",
    "smoothed",
    "sum",
    "topk",
    "rate",
    "rate(up[5m])",
    "nosuch(",
    "up",
    "job:up:sum",
    "{}",
    "{job}",
    "{job=\"api\"}",
    "{\"up\"}",
    "{\"up\", \"up\"}",
    "{__name__=\"up\"}",
    "\"text\"",
    "'text'",
    "`text`",
    "1",
    "-1",
    "1.5e3",
    "0x1g",
    "1__0",
    "5m",
    "inf",
    "NaN",
    "#",
    "# rest\n",
    "\n",
    ";",
    "$",
    "start()",
    "end",
    "step()",
    "range()",
    "time()",
    "vector(1)",
    "scalar(up)",
    "()",
    "le",
    "1 2",
    "a b",
];
const DURATIONS: &[&str] = &[
    "5",
    "0",
    "-5m",
    "+5m",
    "5mm",
    "1h5",
    "5m5h",
    "1h1h",
    "0s",
    "0.0001",
    "1ms",
    "5.5m",
    "5M",
    "ms",
    "m5",
    "5 m",
    "300y",
    "99999999999s",
    "1e3s",
    "0x5",
    "1e30",
    "Inf",
    "NaN",
    "1m+",
    "(5m",
    "5m)",
    "1m / 0",
    "1m % 0",
    "2 ^ 1e9",
    "step(",
    "range(1)",
    "step",
    "min_of(1m)",
    "max_of(1m, 2m, 3m)",
    "-(5m)",
    "5m - 10m",
    "time()",
    "up",
    "\"5m\"",
    "1y2w3d4h5m6s7ms",
    "",
];
const REGEXES: &[&str] = &[
    "(",
    ")",
    "*",
    "+",
    "a**",
    "[",
    "[z-a]",
    "[[:nosuch:]]",
    "a{2,1}",
    "a{1001}",
    "(a{500}){3}",
    "\\\\",
    "\\\\8",
    "\\\\pX",
    "\\\\p{Nosuch}",
    "(?z)",
    "(?P<n",
    "(?P<n>a)(?P<n>b)",
    "(?P<1-2>a)",
    "(?=a)",
    "(?<=a)",
    "(?P=n)",
    "\\\\C",
    "\\\\Q(",
    "x{,5}",
    "|*",
    "(|a)*",
    "\\\\x{110000}",
    "a{1,2}{3}",
    "\\\\z",
    "\\\\Z",
    "[a-\\\\d]",
    "(?i",
    "(?i-s:a)",
    "[^\\\\x00-\\\\x{10FFFF}]",
    ".*{2}",
    "^*",
];
const TEXTS: &[&str] = &[
    "\"",
    "\"open",
    "'open\"",
    "`open",
    "\"\\z\"",
    "\"\\x4\"",
    "\"\\777\"",
    "\"\\uD800\"",
    "\"\\U00110000\"",
    "\"a\nb\"",
    "\"\\",
    "''",
    "\"\"",
    "1",
    "up",
    "\"\\'\"",
    "'\\\"'",
    "\"\\xff\"",
    "`\\z`",
    "\"a\" \"b\"",
    "\"__name__\"",
    "\"1bad\"",
    "\"größe\"",
    "\"\u{fffd}\"",
    "`a\u{fffd}",
    "'\\ufffd\u{fffd}'",
];
const NUMERALS: &[&str] = &[
    "1__0",
    "_1",
    "1_",
    "0x",
    "0xg",
    "08",
    "1e",
    "1e+",
    "1.2.3",
    "1..2",
    "0b1",
    "1e999",
    "1e-999",
    ".",
    "--1",
    "1 1",
    "٣",
    "0755",
    "0x1p4",
    "9999999999999999999999",
    "1d1",
    "5z",
    "1,5",
    "'1'",
    "NaNs",
    "inff",
    "0o17",
    "1_000_",
    "1e1_0",
];
const CHARACTERS: &[char] = &[
    '\0', '\t', '\n', '\r', '\u{b}', '\u{a0}', '\u{2028}', '\u{feff}', '\u{fffd}', 'ü', '·', '😀', '$', '&', ';', '?',
    '\\', '|', '~', '!', '"', '\'', '`', '.', ':', '_', '#', '%', '@', '0', '{', '(', '[', ',', '=',
];
/// Operands of every type.
const OPERANDS: &[&str] = &[
    "up",
    "up[5m]",
    "(up)[5m:1m]",
    "1",
    "-1",
    "time()",
    "\"text\"",
    "(up)",
    "(\"text\")",
    "-up",
    "rate(up[5m])",
    "scalar(up)",
    "up > 1",
    "up offset 5m",
    "{job=\"api\"}",
    "5m",
    "vector(1)",
    "-up[5m]",
    "(up[5m])",
    "sum(up)",
    "{nosuch=\"\"}",
    "latency_seconds",
];

/// A kind of mistake, and a question with one.
pub(crate) fn question(about: &Question, seed: u64, number: u64) -> (&'static str, Question) {
    let random = Random::new(seed ^ 0x6d61_6c66, number);
    let kinds = MISTAKES.len() + 2;
    let (name, tree) = match (number % kinds as u64) as usize {
        0 => ("an operand of another type", mistyped(&random, &about.tree)),
        1 => ("any arguments", call(&random)),
        n => {
            let mistake = &MISTAKES[n - 2];
            let mut all = words(&about.tree.to_string());
            (mistake.make)(&random, &mut all);
            (mistake.name, of_words(all, &about.tree))
        }
    };
    let about = about.clone();
    (name, Question { tree, ..about })
}

/// An expression of words each of which may be left out, which has what `tree` has.
fn of_words(words: Vec<String>, tree: &Tree) -> Tree {
    let mut all = Tree::new(Kind::Vector);
    all.parts = words.into_iter().map(Part::Maybe).collect();
    all.features = tree.all_features().into_iter().collect();
    all
}

fn mistyped(random: &Random, tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    let leaf = Tree::leaf(Kind::Vector, random.pick(OPERANDS));
    let mut number = random.below(5);
    while !tree.put(&mut number.clone(), &leaf) && number > 0 {
        number -= 1;
    }
    let all = words(&tree.to_string());
    of_words(all, &tree)
}

/// A call of a function or an aggregation with any number of arguments of any type.
fn call(random: &Random) -> Tree {
    let functions = FUNCTIONS.iter().chain(NUMBERS).map(|function| function.name);
    let all = [AGGREGATIONS, PARAMETRIC, TEXTUAL].into_iter().flatten().copied();
    let names: Vec<&'static str> = functions.chain(all).collect();
    let name = random.pick(&names);
    let arguments: Vec<&str> = (0..random.below(6)).map(|_| random.pick(OPERANDS)).collect();
    let text = format!("{name}({})", arguments.join(", "));
    of_words(words(&text), &Tree::new(Kind::Vector)).has(name)
}

fn replace(random: &Random, words: &mut [String], fits: impl Fn(&str) -> bool, pool: &[&str]) {
    let places: Vec<usize> = (0..words.len()).filter(|&at| fits(words[at].trim())).collect();
    if !places.is_empty() {
        words[random.pick(&places)] = format!("{} ", random.pick(pool));
    }
}

fn is_length(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_digit()) && bytes.any(|byte| byte.is_ascii_alphabetic())
}

fn bad_regex(random: &Random, words: &mut Vec<String>) {
    let behind = |at: usize| at > 0 && ["=~", "!~"].contains(&words[at - 1].trim());
    let text = format!("\"{}\"", random.pick(REGEXES));
    match (0..words.len()).find(|&at| behind(at)) {
        Some(at) => words[at] = text,
        None => *words = self::words(&format!("up{{job=~{text}}}")),
    }
}

fn misspell(random: &Random, words: &mut [String]) {
    let name = |word: &str| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_alphabetic());
    let places: Vec<usize> = (0..words.len()).filter(|&at| name(words[at].trim())).collect();
    if places.is_empty() {
        return;
    }
    let word = &mut words[random.pick(&places)];
    let at = random.below(word.trim().len());
    match random.below(4) {
        0 => drop(word.remove(at)),
        1 => word.insert(at, random.pick(&['a', 'e', 's', 't', '_', '1'])),
        2 => *word = word.to_uppercase(),
        _ => word.insert(at, word.chars().nth(at).unwrap_or('x')),
    }
}

/// The words of an expression, each with the space behind it: what a reader takes for one, not what a parser does.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let wordlike = |c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == ':';
        let long = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |at| at + 2),
            _ if wordlike(first) => rest.find(|c| !wordlike(c)).unwrap_or(rest.len()),
            _ if ["=~", "!~", "!=", "==", ">=", "<=", "</", ">/"].contains(&rest.get(..2).unwrap_or("")) => 2,
            _ => first.len_utf8(),
        };
        let space = rest[long..].find(|c: char| c != ' ').unwrap_or(rest.len() - long);
        found.push(rest[..long + space].to_owned());
        rest = &rest[long + space..];
    }
    found
}

#[test]
fn words_are_split_and_put_together_again() {
    let text = "sum by (job) (rate(x{a=~\"b c\", d!=\"\"}[5m:1m] offset -1m)) >= bool 1.5e3";
    let all = words(text);
    assert_eq!(all.concat(), text);
    let trimmed: Vec<&str> = all.iter().map(|word| word.trim()).collect();
    assert_eq!(
        trimmed[..14],
        [
            "sum", "by", "(", "job", ")", "(", "rate", "(", "x", "{", "a", "=~", "\"b c\"", ","
        ]
    );
}
