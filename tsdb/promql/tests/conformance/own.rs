//! Scripts of our own, for what Prometheus' scripts leave out. The answers are those of Prometheus 3.16.

use crate::run;
use crate::script::parse_script;
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

/// Every evaluation of ours answers as it should.
pub(crate) fn pass() -> Result<(), Failed> {
    for (script, count) in [(FILLS, 12), (LIMITS, 5)] {
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
