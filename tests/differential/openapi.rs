//! Prometheus' OpenAPI document.

use crate::programs::absent;
use leadline_testkit::openapi::Document;
use std::path::{Path, PathBuf};

/// Taken apart.
pub(crate) fn load() -> Option<Document> {
    text().map(|text| Document::parse(&text).unwrap())
}

/// From `openapi/` of the test data, where that is here.
pub(crate) fn text() -> Option<String> {
    let given = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let required = given.is_some();
    let files = given.into_iter().chain([beside]);
    let file = files
        .map(|folder| folder.join("openapi/openapi_3.2_golden.yaml"))
        .find(|file| file.is_file());
    let Some(file) = file else {
        if required {
            absent("Prometheus' OpenAPI document", "set LEADLINE_CONFORMANCE_DATA");
        }
        println!("absent: Prometheus' OpenAPI document (set LEADLINE_CONFORMANCE_DATA)");
        return None;
    };
    Some(std::fs::read_to_string(file).unwrap())
}
