//! Tables of what rules do, keep and refuse.

use super::{RelabelConfig, Written, apply};
use crate::labels::{Labels, LabelsBuilder};

fn rules(yaml: &str) -> Vec<RelabelConfig> {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"))
}

/// Labels written `a=1 b=2`.
fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split_whitespace().map(|pair| pair.split_once('=').unwrap()))
}

fn run(yaml: &str, input: &str) -> Option<Labels> {
    let mut builder: LabelsBuilder = labels(input).to_builder();
    apply(&rules(yaml), &mut builder).then(|| builder.build())
}

#[test]
fn rules_do_what_prometheus_does() {
    for (yaml, input, output) in [
        // replace
        (
            "[{source_labels: [a], regex: f(.*), target_label: d, replacement: 'ch${1}-ch${1}'}]",
            "a=foo",
            "a=foo d=choo-choo",
        ),
        (
            "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]",
            "a=foo b=bar",
            "a=boobam b=bar",
        ),
        (
            "[{source_labels: [a], regex: no, target_label: d, replacement: x}]",
            "a=foo",
            "a=foo",
        ),
        (
            "[{source_labels: [a], regex: f, target_label: b, replacement: bar}]",
            "a=foo",
            "a=foo",
        ),
        ("[{source_labels: [a], target_label: b}]", "a=foo", "a=foo b=foo"),
        ("[{target_label: b, replacement: c}]", "a=foo", "a=foo b=c"),
        (
            "[{source_labels: [a], regex: f(.*), target_label: b, replacement: ''}]",
            "a=foo b=old",
            "a=foo",
        ),
        ("[{source_labels: [none], target_label: b}]", "a=foo b=old", "a=foo"),
        (
            "[{source_labels: [a], regex: '(.*)', target_label: '${1}', replacement: bar}]",
            "a=foo",
            "a=foo foo=bar",
        ),
        (
            "[{source_labels: [a], regex: '(f)?(.*)', target_label: b, replacement: '$2$1'}]",
            "a=oo",
            "a=oo b=oo",
        ),
        (
            "[{source_labels: [a], target_label: '$9', replacement: x}]",
            "a=foo",
            "a=foo",
        ),
        (
            "[{source_labels: [a, b], separator: '', target_label: c}]",
            "a=1 b=2",
            "a=1 b=2 c=12",
        ),
        (
            "[{source_labels: [a, z, b], target_label: c}]",
            "a=1 b=2",
            "a=1 b=2 c=1;;2",
        ),
        (
            "[{source_labels: [a], target_label: a.dotted, action: Replace}]",
            "a=1",
            "a=1 a.dotted=1",
        ),
        // two in a row
        (
            "[{source_labels: [a], target_label: b}, {source_labels: [b], target_label: c}]",
            "a=1",
            "a=1 b=1 c=1",
        ),
        // names
        ("[{regex: 'b.*', action: labeldrop}]", "a=1 b1=2 b2=3", "a=1"),
        ("[{regex: 'b.*', action: labelkeep}]", "a=1 b1=2 b2=3", "b1=2 b2=3"),
        (
            "[{regex: 'x_(.*)', action: labelmap}]",
            "x_a=1 x_b=2 c=3",
            "a=1 b=2 c=3 x_a=1 x_b=2",
        ),
        (
            "[{regex: 'x_(.*)', replacement: 'y_${1}', action: labelmap}]",
            "x_a=1",
            "x_a=1 y_a=1",
        ),
        // case
        (
            "[{source_labels: [a], target_label: b, action: uppercase}, {source_labels: [a], target_label: c, action: lowercase}]",
            "a=bAr",
            "a=bAr b=BAR c=bar",
        ),
        (
            "[{source_labels: [a], target_label: b, action: uppercase}]",
            "a=straße",
            "a=straße b=STRAßE",
        ),
        // hashmod: md5("foo") ends in 37b51d194a7513e4, md5("foo\\nbar") as upstream's table has it
        (
            "[{source_labels: [c], target_label: d, modulus: 1000, action: hashmod}]",
            "c=baz",
            "c=baz d=976",
        ),
        (
            "[{source_labels: [a], target_label: d, modulus: 1, action: hashmod}]",
            "a=foo",
            "a=foo d=0",
        ),
    ] {
        assert_eq!(run(yaml, input), Some(labels(output)), "{yaml} on {input}");
    }
}

#[test]
fn sets_are_kept_or_dropped() {
    for (yaml, input, kept) in [
        ("[{source_labels: [a], regex: f.*, action: drop}]", "a=foo", false),
        ("[{source_labels: [a], regex: f, action: drop}]", "a=foo", true),
        ("[{source_labels: [a], regex: f.*, action: keep}]", "a=foo", true),
        ("[{source_labels: [a], regex: f, action: keep}]", "a=foo", false),
        ("[{source_labels: [none], regex: '', action: keep}]", "a=foo", true),
        ("[{source_labels: [a, b], regex: '1;2', action: keep}]", "a=1 b=2", true),
        (
            "[{source_labels: [a], target_label: b, action: keepequal}]",
            "a=1 b=1",
            true,
        ),
        (
            "[{source_labels: [a], target_label: b, action: keepequal}]",
            "a=1 b=2",
            false,
        ),
        (
            "[{source_labels: [a], target_label: b, action: dropequal}]",
            "a=1 b=1",
            false,
        ),
        (
            "[{source_labels: [a], target_label: b, action: dropequal}]",
            "a=1 b=2",
            true,
        ),
        (
            "[{source_labels: [x], target_label: y, action: dropequal}]",
            "a=1",
            false,
        ),
        (
            "[{source_labels: [a], regex: no, action: keep}, {target_label: b, replacement: c}]",
            "a=1",
            false,
        ),
    ] {
        assert_eq!(run(yaml, input).is_some(), kept, "{yaml} on {input}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_by_field() {
    for (yaml, expected) in [
        ("action: foo", "action: unknown action \"foo\""),
        ("action: replace", "target_label: action replace needs it"),
        ("{}", "target_label: action replace needs it"),
        ("{action: hashmod, target_label: a}", "modulus: action hashmod needs it"),
        (
            "{action: hashmod, target_label: a, modulus: 0}",
            "modulus: action hashmod needs it",
        ),
        ("{action: hashmod, modulus: 2}", "target_label: action hashmod needs it"),
        ("{action: lowercase}", "target_label: action lowercase needs it"),
        (
            "{action: lowercase, target_label: a, replacement: b}",
            "replacement: action lowercase does not take it",
        ),
        (
            "{action: labelmap, replacement: ''}",
            "replacement: action labelmap makes label names of it",
        ),
        (
            "{action: keepequal, source_labels: [a]}",
            "target_label: action keepequal needs it",
        ),
        (
            "{action: keepequal, source_labels: [a], target_label: b, regex: c}",
            "regex: action keepequal takes only source_labels and target_label",
        ),
        (
            "{action: dropequal, target_label: b, separator: ','}",
            "separator: action dropequal takes only",
        ),
        (
            "{action: dropequal, target_label: b, replacement: x}",
            "replacement: action dropequal takes only",
        ),
        (
            "{action: dropequal, target_label: b, modulus: 3}",
            "modulus: action dropequal takes only",
        ),
        (
            "{action: labeldrop, source_labels: [a]}",
            "source_labels: action labeldrop takes only regex",
        ),
        (
            "{action: labelkeep, target_label: a}",
            "target_label: action labelkeep takes only regex",
        ),
        (
            "{action: labeldrop, regex: a, separator: ','}",
            "separator: action labeldrop takes only regex",
        ),
        (
            "{source_labels: [''], target_label: a}",
            "source_labels: an empty label name",
        ),
        (
            "{source_labels: [a], regex: '(', target_label: a}",
            "regex: invalid regular expression",
        ),
        ("{source_labels: [a], targetlabel: a}", "targetlabel"),
        ("{modulus: -1, target_label: a}", "-1"),
    ] {
        let error = serde_saphyr::from_str::<RelabelConfig>(yaml)
            .expect_err(yaml)
            .to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn a_rule_is_written_back_without_its_defaults() {
    let rule = &rules("[{source_labels: [a], target_label: b, separator: ';', regex: '(.*)'}]")[0];
    let written = Written::from(rule.clone());
    assert_eq!(written.separator, None);
    assert_eq!(&RelabelConfig::try_from(written).unwrap(), rule);
}

#[test]
fn a_rule_tells_whether_it_may_write_a_label() {
    for (rule, may) in [
        ("{target_label: job, replacement: x}", true),
        ("{source_labels: [job], target_label: other}", false),
        (
            "{source_labels: [a], regex: '(.*)', target_label: 'j${1}', replacement: x}",
            true,
        ),
        (
            "{source_labels: [a], regex: '(.*)', target_label: '${1}', replacement: x}",
            true,
        ),
        (
            "{source_labels: [a], regex: '(.*)', target_label: 'x_${1}', replacement: x}",
            false,
        ),
        (
            "{action: hashmod, source_labels: [a], modulus: 2, target_label: job}",
            true,
        ),
        ("{action: lowercase, source_labels: [job], target_label: job}", true),
        ("{action: uppercase, source_labels: [job], target_label: other}", false),
        ("{action: labelmap, regex: 'pod_(.+)'}", true),
        ("{action: labelmap, regex: 'pod_(.+)', replacement: 'pod_$1'}", false),
        ("{action: labelmap, regex: 'task', replacement: job}", true),
        ("{action: labeldrop, regex: 'jo.'}", true),
        ("{action: labeldrop, regex: 'jo'}", false),
        ("{action: labelkeep, regex: 'job|instance'}", false),
        ("{action: labelkeep, regex: 'instance'}", true),
        ("{action: keep, source_labels: [job], regex: x}", false),
        ("{action: drop, source_labels: [job], regex: x}", false),
        ("{action: keepequal, source_labels: [a], target_label: job}", false),
        ("{action: dropequal, source_labels: [a], target_label: job}", false),
    ] {
        assert_eq!(rules(&format!("[{rule}]"))[0].may_write("job"), may, "{rule}");
    }
}
