//! What files must and must not hold.

use std::path::Path;

/// Lines a file of code may have.
const MOST_LINES: usize = 800;

fn is_source(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "rs") && !file.components().any(|c| c.as_os_str() == "generated")
}

#[test]
fn no_file_names_a_path_of_a_build_machine() {
    // Put together here, so that this file does not name them itself.
    let roots = [
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/Us", "ers/"],
        ["/wo", "rk/"],
        [".lib", "rary/"],
    ]
    .map(|parts| parts.concat());
    for file in super::files() {
        let Some(text) = super::read(&file) else { continue };
        for (i, line) in text.lines().enumerate() {
            for path in &roots {
                // A user's own home in an example is written with a variable or a tilde.
                assert!(
                    !line.contains(path.as_str()),
                    "{}:{}: {path} is a path of one machine",
                    file.display(),
                    i + 1
                );
            }
        }
    }
}

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<_> = super::files()
        .into_iter()
        .filter(|f| is_source(f))
        .filter_map(|f| super::read(&f).map(|text| (text.lines().count(), f)))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(
        long.is_empty(),
        "files over {MOST_LINES} lines, to be split by concept: {long:?}"
    );
}

#[test]
fn every_source_file_of_a_room_says_what_it_is_for() {
    let silent: Vec<_> = super::files()
        .into_iter()
        .filter(|f| is_source(f) && f.components().any(|c| c.as_os_str() == "src"))
        .filter(|f| super::read(f).is_some_and(|text| !text.starts_with("//!")))
        .collect();
    assert!(
        silent.is_empty(),
        "files that do not begin with //! and their purpose: {silent:?}"
    );
}

#[test]
fn no_test_is_switched_off() {
    let mark = ["#[ig", "nore"].concat();
    for file in super::files().into_iter().filter(|f| is_source(f)) {
        let text = super::read(&file).unwrap_or_default();
        assert!(!text.contains(&mark), "{} switches a test off", file.display());
    }
}

#[test]
fn only_the_process_binds_sockets_and_installs_globals() {
    // Written in two parts, so that a search for them does not find this file.
    let banned = [
        (["TcpListener::", "bind"].concat(), "binds a socket"),
        (["signal::", "ctrl_c"].concat(), "handles a signal"),
        (["set_global_", "default"].concat(), "installs a global subscriber"),
        (["install_", "default()"].concat(), "installs a global crypto provider"),
    ];
    for file in super::files().into_iter().filter(|f| is_source(f)) {
        let in_room = file.starts_with("tsdb") || file.starts_with("adapter") || file.starts_with("scaler");
        let in_test = file
            .components()
            .any(|c| ["tests", "benches", "examples"].iter().any(|t| c.as_os_str() == *t));
        if !in_room || in_test {
            continue;
        }
        let text = super::read(&file).unwrap_or_default();
        let product = text.split("#[cfg(test)]").next().unwrap_or("");
        for (call, does) in &banned {
            assert!(
                !product.contains(call.as_str()),
                "{} {does}: only src/ may",
                file.display()
            );
        }
    }
}
