//! The image and the manifests that run it say the same, and what they name is there.

use std::path::Path;

fn text(file: &str) -> String {
    super::read(Path::new(file)).unwrap_or_else(|| panic!("{file} is not there"))
}

/// What stands behind `key` in the first line that begins with it, blanks aside.
fn behind<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(key));
    found.unwrap_or_else(|| panic!("no line begins with {key:?}")).trim()
}

/// Files of the repository that a manifest names: manifests by the name alone, and the Dockerfile. A ConfigMap's own key
/// is what it mounts.
fn named(manifest: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let words = manifest.split(|c: char| !is_part(c)).map(|w| w.trim_end_matches('.'));
    let file = |w: &&str| *w == "Dockerfile" || w.ends_with(".yaml") && !w.contains('/') && *w != "leadline.yaml";
    words.filter(file).map(str::to_owned).collect()
}

#[test]
fn every_file_that_a_manifest_names_exists() {
    let folder = Path::new("manifests/static");
    let (mut manifests, mut names) = (0, 0);
    for file in super::files().iter().filter(|f| f.starts_with(folder)) {
        manifests += 1;
        for name in named(&text(&file.display().to_string())) {
            names += 1;
            let there = [folder, Path::new("")].map(|f| super::root().join(f).join(&name).is_file());
            assert!(
                there.contains(&true),
                "{} names {name}, which is not there",
                file.display()
            );
        }
    }
    assert!(manifests >= 4 && names >= 5, "{manifests} manifests name {names} files");
}

#[test]
fn the_image_is_built_as_the_repository_is_and_runs_as_the_manifests_say() {
    let (docker, core) = (text("Dockerfile"), text("manifests/static/core.yaml"));
    let rust = behind(&text("rust-toolchain.toml"), "channel =")
        .trim_matches('"')
        .to_owned();
    assert!(
        behind(&docker, "FROM rust:").starts_with(&format!("{rust}-")),
        "Rust {rust}"
    );
    assert_eq!(behind(&docker, "ENV RUSTUP_TOOLCHAIN="), rust);
    let (user, group) = (behind(&core, "runAsUser:"), behind(&core, "runAsGroup:"));
    assert_eq!(behind(&docker, "USER "), format!("{user}:{group}"));
    let data = behind(&core, "- --storage.tsdb.path=");
    assert!(
        docker.contains(&format!("--chown={user}:{group} {data} {data}\n")),
        "{data} is writable"
    );
    let version = behind(&text("Cargo.toml"), "version =").trim_matches('"').to_owned();
    let image = behind(&core, "image:");
    assert_eq!(image, format!("leadline:{version}"));
    assert!(docker.contains(&format!("docker build -t {image} .")), "{image}");
    // The manifests give args and no command.
    assert_eq!(behind(&docker, "ENTRYPOINT "), r#"["/usr/local/bin/leadline"]"#);
    assert!(!core.contains("command:") && behind(&core, "- serve").is_empty());
}
