//! What the dependency graph must not hold.

/// Crates that must not be compiled into anything here, with the reason.
const BANNED: &[(&str, &str)] = &[
    ("ring", "cryptography comes from aws-lc-rs alone"),
    ("openssl", "TLS is rustls alone"),
    ("openssl-sys", "TLS is rustls alone"),
    ("native-tls", "TLS is rustls alone"),
    ("promql-parser", "the parser is our own"),
];

#[test]
fn no_second_tls_stack_and_no_foreign_parser_is_compiled() {
    let tree = super::output(
        "cargo",
        &[
            "tree",
            "--workspace",
            "--locked",
            "--edges",
            "normal,build",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--prefix",
            "none",
        ],
    );
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or("");
        if let Some((banned, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            panic!("{banned} is in the graph: {reason}");
        }
    }
    assert!(
        tree.lines().any(|l| l.starts_with("aws-lc-rs ")),
        "aws-lc-rs is gone: is this still the right check?"
    );
}
