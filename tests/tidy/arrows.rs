//! The arrows between the rooms run downward only.

use std::collections::{BTreeMap, BTreeSet};

/// For each room, every room it may use directly (test dependencies aside). `ARCHITECTURE.md` draws the same.
const ARROWS: &[(&str, &[&str])] = &[
    ("leadline-model", &[]),
    ("leadline-exposition", &["model"]),
    ("leadline-storage", &["model"]),
    ("leadline-promql", &["model"]),
    ("leadline-standing", &["model"]),
    ("leadline-httpclient", &["model"]),
    ("leadline-cluster", &["model"]),
    ("leadline-discovery", &["model", "cluster"]),
    ("leadline-scrape", &["model", "exposition", "httpclient"]),
    ("leadline-api", &["model", "promql"]),
    (
        "leadline-tsdb",
        &["model", "storage", "promql", "discovery", "scrape", "httpclient"],
    ),
    ("leadline-adapter", &["model", "standing", "cluster"]),
    ("leadline-scaler", &["model", "standing"]),
    ("leadline-testkit", &["model"]),
    ("leadline-bench", &["testkit"]),
    (
        "leadline",
        &[
            "model",
            "exposition",
            "storage",
            "promql",
            "standing",
            "discovery",
            "scrape",
            "httpclient",
            "cluster",
            "api",
            "tsdb",
            "adapter",
            "scaler",
        ],
    ),
];

/// The direct dependencies of each workspace package on other ones, without those of tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: serde_json::Value = serde_json::from_str(&super::output(
        "cargo",
        &["metadata", "--format-version", "1", "--no-deps", "--locked"],
    ))
    .expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("a name").to_owned();
            let uses = package["dependencies"].as_array().expect("dependencies").iter();
            let uses = uses
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .filter_map(|d| d["name"].as_str())
                .filter(|d| d.starts_with("leadline"))
                .map(ToOwned::to_owned);
            (name, uses.collect())
        })
        .collect()
}

#[test]
fn rooms_use_only_rooms_below_them() {
    let found = dependencies();
    for (room, uses) in &found {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == room) else {
            panic!("{room} is not in the table of arrows: add it here and to ARCHITECTURE.md");
        };
        for used in uses {
            let short = used.trim_start_matches("leadline-");
            assert!(allowed.contains(&short), "{room} must not use {used}");
        }
    }
    assert_eq!(
        found.len(),
        ARROWS.len(),
        "the table of arrows names a room that is gone"
    );
}

#[test]
fn every_room_lists_its_crate_in_default_members() {
    let manifest = super::read("Cargo.toml".as_ref()).expect("Cargo.toml");
    let defaults = manifest
        .split("default-members")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("default-members");
    let members = manifest
        .split("members")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("members");
    assert_eq!(
        members.matches('"').count(),
        defaults.matches('"').count(),
        "members and default-members differ"
    );
}

#[test]
fn the_architecture_document_names_every_room() {
    let document = super::read("ARCHITECTURE.md".as_ref()).expect("ARCHITECTURE.md");
    for (room, _) in ARROWS {
        assert!(
            document.contains(&format!("`{room}`")),
            "ARCHITECTURE.md does not name {room}"
        );
    }
}
