//! Scripts of our own, for what Prometheus' scripts leave out. The answers are those of Prometheus 3.16.

use crate::run;
use crate::script::parse_script;
use leadline_promql::syntax::Features;
use libtest_mimic::Failed;

/// A number and a histogram do not add: what met nothing is filled, whichever side has it.
const FILLS: &str = r#"
load 1m
  l{a="1"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x5
  l{a="2"} 1x5
  l{a="3"} 7x5
  r{a="1"} 10x5
  r{a="2"} 20x5
  r{a="4"} 40x5
  m{a="1",b="1"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x5
  m{a="1",b="2"} 3x5
  m{a="2",b="1"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x5

eval instant at 1m l + fill_left(100) r
  {a="1"} 110
  {a="2"} 21
  {a="4"} 140

eval instant at 1m l + fill_right(200) r
  {a="2"} 21
  {a="3"} 207

eval instant at 1m l + fill(100) r
  {a="1"} 110
  {a="2"} 21
  {a="3"} 107
  {a="4"} 140

eval instant at 1m r + fill_left(100) l
  {a="2"} 21
  {a="3"} 107

eval instant at 1m r + fill(100) l
  {a="2"} 21
  {a="3"} 107
  {a="4"} 140

eval instant at 1m m + on (a) group_left () fill_left(100) r
  {a="1",b="2"} 13
  {a="2"} 120
  {a="4"} 140

eval instant at 1m m + on (a) group_left () fill_right(100) r
  {a="1",b="2"} 13

eval instant at 1m r + on (a) group_right () fill_left(100) m
  {a="1",b="2"} 13

eval instant at 1m r + on (a) group_right () fill_right(100) m
  {a="1",b="2"} 13
  {a="2"} 120
  {a="4"} 140

eval instant at 1m r > on (a) group_right () fill(100) m
  m{a="1",b="2"} 10

eval instant at 1m l > bool fill(100) r
  {a="1"} 1
  {a="2"} 0
  {a="3"} 0
  {a="4"} 1

eval range from 0 to 2m step 1m l + fill(100) r
  {a="1"} 110 110 110
  {a="2"} 21 21 21
  {a="3"} 107 107 107
  {a="4"} 140 140 140
"#;

/// The first of a group, numbers and histograms alike.
const LIMITS: &str = r#"
load 1m
  m{a="1"} 1 {{schema:0 count:4 sum:5 buckets:[1 2 1]}} 3 _
  m{a="2"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x2 _
  m{a="3"} 7 7 7 7

eval instant at 1m count(limitk(2, m))
  {} 2

eval instant at 1m limitk(1, m)
  m{a="1"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}

eval range from 0 to 2m step 1m limitk(2, m)
  m{a="1"} 1 {{schema:0 count:4 sum:5 buckets:[1 2 1]}} 3
  m{a="2"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x2

eval range from 0 to 2m step 1m count(limit_ratio(1, m))
  {} 3 3 3

eval range from 0 to 2m step 1m count(limit_ratio(0.4, m) or limit_ratio(-0.6, m))
  {} 3 3 3
"#;

/// Parameters that are calculated, and so move over a range.
const MOVING: &str = r#"
load 1m
  b{le="1"} 1x10
  b{le="+Inf"} 2x10
  v 3x10

eval range from 0 to 2m step 1m histogram_quantiles(b, "q", time() / 120)
  {q="0.0"} 0 _ _
  {q="0.5"} _ 1 _
  {q="1.0"} _ _ 1

eval range from 0 to 1m step 1m histogram_quantiles(b, "q", time() / 240, 0.5)
  {q="0.0"} 0 _
  {q="0.25"} _ 0.5
  {q="0.5"} 1 1

eval range from 0 to 1m step 1m histogram_quantiles(b, "q", -time() / 60, 0 * time())
  expect fail

eval range from 0 to 1m step 1m histogram_quantiles(b, "q", -time() / 60)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got -1 (1:29)
  {q="0.0"} 0 _
  {q="-1.0"} _ -Inf

eval range from 0 to 5m step 1m quantile(time() / 60 - 2, v)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got -2 (1:10)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 3 (1:10)
  {} -Inf -Inf 3 3 +Inf +Inf

eval range from 0 to 2m step 1m quantile(time() / 60 - 1, vector(1))
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got -1 (1:10)
  {} -Inf -Inf -Inf

eval range from 0 to 4m step 1m quantile((time() / 60 - 2) / (time() / 60 - 2) * 7, v)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got NaN (1:10)
  {} +Inf +Inf NaN +Inf +Inf
"#;

/// Every evaluation of ours answers as it should.
pub(crate) fn pass() -> Result<(), Failed> {
    for (script, count) in [(FILLS, 12), (LIMITS, 5), (MOVING, 7)] {
        let report = run::run(&parse_script(script)?)?;
        if !report.failed.is_empty() {
            return Err(report.failed.join("\n").into());
        }
        if report.passed != count {
            return Err(format!("{} evaluations, {count} were expected", report.passed).into());
        }
    }
    Ok(())
}

/// A counter that began anew where its values do not show it.
const RESET: &str = r#"
load 1m
  c@st -30sx1 -30sx1
  c 10x3
"#;

/// A request says whether start times are used, whatever the engine's setting is.
pub(crate) fn start_times_as_asked() -> Result<(), Failed> {
    let script = parse_script(RESET)?;
    for (setting, asked, resets) in [
        (false, None, 0.0),
        (false, Some(true), 3.0),
        (false, Some(false), 0.0),
        (true, None, 3.0),
        (true, Some(true), 3.0),
        (true, Some(false), 0.0),
    ] {
        let features = Features {
            start_timestamps: setting,
            ..Features::LANGUAGE
        };
        for text in ["resets(c[5m])", "sum(resets(c[5m]))"] {
            let found = run::instant_with_starts(&script, features, (text, 180_000), asked)?;
            if found != resets {
                return Err(format!("{text}: setting {setting}, asked {asked:?}: {found}").into());
            }
        }
    }
    Ok(())
}
