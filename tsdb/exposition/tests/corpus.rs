//! Upstream's bench corpora are read whole.

use leadline_exposition::{Event, Parser, parse_labels};
use std::io::Write as _;
use std::path::PathBuf;

/// The folder of upstream's test data, or `None` (said in one line) where there is none.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Past the test harness, which would swallow it.
    let _ = writeln!(
        std::io::stderr(),
        "absent: no upstream test data (set LEADLINE_CONFORMANCE_DATA)"
    );
    None
}

fn samples(text: &[u8]) -> Result<usize, String> {
    let mut parser = Parser::new(text);
    let mut count = 0;
    while let Some(event) = parser.next_event().map_err(|e| e.to_string())? {
        if let Event::Sample { series, .. } = event {
            parse_labels(series, parser.kind()).map_err(|e| parser.error_in_series(e.offset, e.message).to_string())?;
            count += 1;
        }
    }
    Ok(count)
}

#[test]
fn every_sample_line_of_the_corpora_is_read() {
    let Some(data) = data() else { return };
    for file in [
        "textparse/alltypes.237mfs.prom.txt",
        "textparse/alltypes.237mfs.nometa.prom.txt",
    ] {
        let text = std::fs::read(data.join(file)).unwrap();
        let text = text.strip_prefix(b"r#").map(|_| text[1..].to_vec()).unwrap_or(text);
        let lines = text
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty() && l[0] != b'#')
            .count();
        assert_eq!(samples(&text), Ok(lines), "{file}");
        println!("{file}: {} bytes, {lines} sample lines", text.len());
    }
}

#[test]
fn an_openmetrics_exemplar_is_refused_with_its_place() {
    let Some(data) = data() else { return };
    let text = std::fs::read(data.join("textparse/alltypes.5mfs.om.txt")).unwrap();
    let error = samples(&text).unwrap_err();
    assert!(error.starts_with("line "), "{error}");
}

#[test]
fn the_text_sample_of_expfmt_is_read() {
    let Some(data) = data() else { return };
    let text = std::fs::read(data.join("expfmt/text")).unwrap();
    let lines = text
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty() && l[0] != b'#')
        .count();
    assert_eq!(samples(&text), Ok(lines));
}
