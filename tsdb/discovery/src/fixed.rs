//! Written-down targets to groups.

use crate::config::StaticConfig;
use leadline_model::labels::{Labels, LabelsBuilder};
use leadline_model::target::TargetGroup;

/// The label that holds a target's `host:port`.
pub(crate) const ADDRESS: &str = "__address__";

/// A group of written-down targets under the name `source`; `extra` labels are set last.
pub(crate) fn group(source: String, config: &StaticConfig, extra: &[(&str, &str)]) -> TargetGroup {
    let mut labels = LabelsBuilder::new();
    let own = config.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    for (name, value) in own.chain(extra.iter().copied()) {
        labels.set(name, value);
    }
    let targets = config
        .targets
        .iter()
        .map(|address| Labels::from_pairs([(ADDRESS, address)]))
        .collect();
    TargetGroup {
        source,
        labels: labels.build(),
        targets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_an_address_and_the_group_has_the_labels() {
        let config = StaticConfig {
            targets: vec!["a:1".into(), "b:2".into()],
            labels: [("env".to_owned(), "x".to_owned())].into(),
        };
        let group = group("s".into(), &config, &[("more", "y")]);
        assert_eq!(group.labels, Labels::from_pairs([("env", "x"), ("more", "y")]));
        assert_eq!(
            group.targets,
            [
                Labels::from_pairs([(ADDRESS, "a:1")]),
                Labels::from_pairs([(ADDRESS, "b:2")])
            ]
        );
    }
}
