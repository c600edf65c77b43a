//! The committed code is what the committed contract generates. `LEADLINE_REGENERATE=1` writes it.

use protox::prost::Message;
use std::path::Path;

#[test]
fn the_generated_code_and_the_descriptor_are_those_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["externalscaler.proto"], [root.join("proto")]).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())
        .unwrap();
    let code = std::fs::read(out.path().join("externalscaler.rs")).unwrap();
    let mut bare = descriptors;
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    for (name, expected) in [
        ("externalscaler.rs", code),
        ("externalscaler.bin", bare.encode_to_vec()),
    ] {
        let path = root.join("src/generated").join(name);
        if std::env::var_os("LEADLINE_REGENERATE").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(
            committed == expected,
            "src/generated/{name} is not what proto/ generates; run with LEADLINE_REGENERATE=1"
        );
    }
}
