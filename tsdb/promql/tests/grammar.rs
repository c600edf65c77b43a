//! Prometheus' own table of expressions that must parse and must not, held against our parser.

#![expect(clippy::unwrap_used, reason = "a test's helper may fail loudly")]

mod data;
#[path = "support/placeless.rs"]
mod placeless;

use leadline_promql::check::parse_checked;

const FILE: &str = "derived-parser-tests.json";
/// How many cases the table has at least: a file that lost some must not pass.
const LEAST_CASES: usize = 354;

#[derive(serde::Deserialize)]
struct Case {
    expr: String,
    fail: bool,
    /// The input where it is no UTF-8.
    hex: Option<String>,
}

impl Case {
    /// The expression as a form's parameter is read: what is no UTF-8 becomes U+FFFD.
    fn text(&self) -> String {
        let Some(hex) = &self.hex else {
            return self.expr.clone();
        };
        let bytes = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap());
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }
}

#[test]
fn prometheus_own_table_is_accepted_and_refused_as_listed() {
    let Some(path) = data::promql_folder()
        .map(|folder| folder.join(FILE))
        .filter(|path| path.is_file())
    else {
        data::say_skipped(FILE);
        return;
    };
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for case in &cases {
        let text = case.text();
        match parse_checked(&text) {
            Ok((expr, shape)) => {
                accepted += 1;
                if case.fail {
                    wrong.push(format!("accepted: {text}"));
                }
                let printed = expr.to_string();
                match parse_checked(&printed) {
                    Ok((again, same)) => {
                        assert!(again.to_string() == printed && same == shape, "{text} -> {printed}");
                        assert_eq!(placeless::tree(again), placeless::tree(expr), "{text} -> {printed}");
                    }
                    Err(error) => wrong.push(format!("printed as {printed}, which is refused: {error}")),
                }
            }
            Err(error) if case.fail => {
                refused += 1;
                if case.hex.is_some() && error.message != "invalid UTF-8 rune" {
                    wrong.push(format!("refused for another reason: {text}: {error}"));
                }
            }
            Err(error) => wrong.push(format!("refused: {text}: {error}")),
        }
    }
    println!("grammar: {} cases, {accepted} accepted, {refused} refused", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(accepted + refused, cases.len());
    assert!(cases.len() >= LEAST_CASES, "{} cases", cases.len());
}
