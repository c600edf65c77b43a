//! Changed, cut and crafted files: what is read is right, or refused.

use super::support::{ALL, DIR, Data, SEGMENT, content, files, naive, open, select, small, write};
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_storage::block::Block;
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::source::Source as _;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A disk with the block on which one file has other bytes.
pub(crate) fn changed(memory: &MemoryDisk, path: &Path, content: &[u8]) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(memory.duplicate());
    disk.create(path).unwrap().write_all(content).unwrap();
    disk
}

/// Opens and reads in every way; what is read must be right.
pub(crate) fn right_or_refused(disk: &Arc<dyn Disk>, dir: &Path, data: &Data, what: &str) -> bool {
    match open(disk, dir, 1 << 20) {
        Ok(block) => reads_right(&block, data, what),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

pub(crate) fn reads_right(block: &Arc<Block>, data: &Data, what: &str) -> bool {
    let mut whole = true;
    let regex = |pattern| vec![Matcher::new("one", MatchOp::Regex, pattern).unwrap()];
    for matchers in [
        vec![],
        vec![Matcher::equal("job", "a")],
        regex("v[01]"),
        regex("v0|v2"),
        vec![Matcher::not_equal("job", "a")],
    ] {
        match select(block, &matchers, ALL.0, ALL.1) {
            Ok(found) => assert_eq!(found, naive(data, &matchers, ALL.0, ALL.1), "{what}: {matchers:?}"),
            Err(_) => whole = false,
        }
    }
    let jobs: BTreeSet<&str> = data.keys().filter_map(|l| l.get("job")).collect();
    match block.label_values("job", &[], ALL.0, ALL.1) {
        Ok(values) => assert_eq!(values, Vec::from_iter(jobs), "{what}"),
        Err(_) => whole = false,
    }
    let source = block.series().and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match source {
        Ok(series) => assert_eq!(series.len(), data.len(), "{what}"),
        Err(_) => whole = false,
    }
    whole & block.symbols().and_then(Iterator::collect::<Result<Vec<_>, _>>).is_ok()
}

#[test]
fn no_flipped_byte_changes_what_is_read() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    open(&disk, &dir, 0)
        .unwrap()
        .delete(&[Matcher::equal("job", "b")], 5_000, 20_000)
        .unwrap();
    let left = select(&open(&disk, &dir, 0).unwrap(), &[], ALL.0, ALL.1).unwrap();
    for file in files(&*disk, &dir) {
        let path = dir.join(&file);
        let original = content(&*disk, &path);
        let mut unseen = 0;
        for (at, bit) in (0..original.len()).flat_map(|at| [0u8, 3, 7].map(|bit| (at, bit))) {
            let mut flipped = original.clone();
            flipped[at] ^= 1 << bit;
            let what = format!("{} byte {at} bit {bit}", file.display());
            unseen += usize::from(right_or_refused(&changed(&memory, &path, &flipped), &dir, &left, &what));
        }
        // Padding and the version of the tombstones have no checksum; neither has anything in the description.
        if file != Path::new("meta.json") {
            assert!(
                unseen * 5 < 3 * original.len(),
                "{}: {unseen} of {} flips unseen",
                file.display(),
                3 * original.len()
            );
        }
    }
}

#[test]
fn a_segment_that_ends_early_does_not_reach_as_far_as_its_index() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &small(), 2, 100);
    open(&disk, &dir, 0).unwrap().check_reach().unwrap();
    let segments = disk.list(&dir.join("chunks")).unwrap();
    assert!(segments.len() > 2, "{segments:?}");
    for segment in segments {
        let path = dir.join("chunks").join(&segment.name);
        let original = content(&*disk, &path);
        for len in 8..original.len() {
            let cut = changed(&memory, &path, &original[..len]);
            let refused = open(&cut, &dir, 0).unwrap().check_reach().unwrap_err().to_string();
            assert!(
                refused.contains(&segment.name),
                "{len} of {} bytes: {refused}",
                original.len()
            );
        }
    }
}

#[test]
fn no_cut_file_is_taken_for_whole() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    for file in files(&*disk, &dir) {
        let path = dir.join(&file);
        let original = content(&*disk, &path);
        for len in 0..original.len() {
            let what = format!("{} of {len} bytes", file.display());
            let cut = changed(&memory, &path, &original[..len]);
            assert!(!right_or_refused(&cut, &dir, &data, &what), "{what}");
        }
        let missing: Arc<dyn Disk> = Arc::new(memory.duplicate());
        missing.remove_file(&path).unwrap();
        let opened = right_or_refused(&missing, &dir, &data, &file.display().to_string());
        assert_eq!(opened, file == Path::new("tombstones"), "{} missing", file.display());
    }
}

#[test]
fn bytes_that_change_under_an_open_block_are_noticed() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    for file in ["index", "chunks/000001"] {
        let len = content(&*disk, &dir.join(file)).len();
        for at in 0..len {
            let copy: Arc<dyn Disk> = Arc::new(memory.duplicate());
            let block = open(&copy, &dir, 0).unwrap();
            let path = dir.join(file);
            let byte = content(&*copy, &path)[at];
            copy.append(&path).unwrap().write_at(&[byte ^ 0x21], at as u64).unwrap();
            reads_right(&block, &data, &format!("{file} byte {at}"));
        }
    }
}

#[test]
fn a_version_that_is_not_known_is_told_with_its_file_and_its_place() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &small(), 4, SEGMENT);
    for (file, what) in [
        ("index", "index version 66 is not known, expected 1, 2 or 3"),
        ("chunks/000001", "chunks version 65 is not known, expected 1"),
        ("tombstones", "tombstones version 65 is not known, expected 1"),
    ] {
        let path = dir.join(file);
        let mut bytes = content(&*disk, &path);
        bytes[4] ^= 0x40;
        let refused = open(&changed(&memory, &path, &bytes), &dir, 0).unwrap_err();
        assert_eq!(refused.to_string(), format!("{}: at offset 4: {what}", path.display()));
    }
}

#[test]
fn a_newer_index_is_refused_and_version_3_is_read() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    let path = dir.join("index");
    let mut index = content(&*disk, &path);
    index[4] = 3;
    assert!(right_or_refused(
        &changed(&memory, &path, &index),
        &dir,
        &data,
        "version 3"
    ));
    index[4] = 4;
    let refused = open(&changed(&memory, &path, &index), &dir, 0).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("at offset 4: index version 4 is not known, expected 1, 2 or 3"),
        "{refused}"
    );
}

/// Every run of bytes of an index that a checksum behind it covers.
fn frames(index: &[u8]) -> Vec<std::ops::Range<usize>> {
    let u32_at = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let toc = index.len() - 52;
    let offset = |i: usize| u64::from_be_bytes(index[toc + 8 * i..toc + 8 * i + 8].try_into().unwrap()) as usize;
    let (symbols, series, series_end, table) = (offset(0), offset(1), offset(2), offset(5));
    let mut frames = vec![
        symbols + 4..symbols + 4 + u32_at(symbols),
        toc..toc + 48,
        table + 4..table + 4 + u32_at(table),
    ];
    let mut at = series.next_multiple_of(16);
    while at < series_end {
        // These series are shorter than 128 bytes.
        let len = usize::from(index[at]);
        frames.push(at + 1..at + 1 + len);
        at = (at + 1 + len + 4).next_multiple_of(16);
    }
    at = series_end.next_multiple_of(4);
    while at < table {
        frames.push(at + 4..at + 4 + u32_at(at));
        at += 8 + u32_at(at);
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Wrong content under right checksums may be read as something else, but stops nothing and takes no more memory
    /// than the files are long.
    #[test]
    fn crafted_indexes_stop_nothing(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        static BLOCK: OnceLock<(MemoryDisk, std::path::PathBuf, Vec<u8>)> = OnceLock::new();
        let (memory, dir, original) = BLOCK.get_or_init(|| {
            let memory = MemoryDisk::new();
            let disk: Arc<dyn Disk> = Arc::new(memory.clone());
            let dir = write(&disk, Path::new(DIR), &small(), 4, SEGMENT);
            let index = content(&*disk, &dir.join("index"));
            (memory, dir, index)
        });
        let frames = frames(original);
        let mut index = original.clone();
        for (frame, at, value) in changes {
            let frame = &frames[frame.index(frames.len())];
            index[frame.start + at.index(frame.len())] = value;
            let crc = crc32c::crc32c(&index[frame.clone()]);
            index[frame.end..frame.end + 4].copy_from_slice(&crc.to_be_bytes());
        }
        let disk = changed(memory, &dir.join("index"), &index);
        if let Ok(block) = open(&disk, dir, 1 << 20) {
            for matchers in [vec![], vec![Matcher::equal("job", "a")], vec![Matcher::not_equal("job", "a")]] {
                if let Ok(set) = block.select(&matchers, ALL.0, ALL.1, true) {
                    let mut samples = leadline_model::sample::Samples::default();
                    for i in 0..set.len() {
                        let _ = set.read(i, ALL.0, ALL.1, &mut samples);
                        let _ = set.newest(i, 0, 20_000);
                    }
                }
                let _ = block.label_values("job", &matchers, ALL.0, ALL.1);
            }
            let _ = block.series().map(|series| series.for_each(drop));
            let _ = block.symbols().map(|symbols| symbols.for_each(drop));
            let _ = block.verify(&mut drop);
            let _ = block.delete(&[Matcher::equal("job", "b")], 0, 20_000);
        }
    }
}

#[test]
fn verification_names_what_is_wrong() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    let clean = open(&disk, &dir, 0)
        .unwrap()
        .verify(&mut |damage| panic!("{damage}"))
        .unwrap();
    assert_eq!((clean.series, clean.chunks, clean.samples), (3, 6, 24));
    let path = dir.join("chunks/000001");
    let original = content(&*disk, &path);
    // Behind the header every byte is under a checksum.
    for at in 8..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 4;
        let block = open(&changed(&memory, &path, &flipped), &dir, 0).unwrap();
        let mut found = Vec::new();
        block.verify(&mut |damage| found.push(damage)).unwrap();
        assert!(
            found.iter().any(|d| d.path == path && d.offset <= at as u64),
            "byte {at}: {found:?}"
        );
    }
    let longer = changed(&memory, &path, &[original.clone(), vec![0]].concat());
    let mut found = Vec::new();
    open(&longer, &dir, 0)
        .unwrap()
        .verify(&mut |damage| found.push(damage))
        .unwrap();
    assert!(
        found.iter().any(|d| d.expected == "the end of the segment"),
        "{found:?}"
    );
    let meta = dir.join("meta.json");
    let text = String::from_utf8(content(&*disk, &meta)).unwrap();
    for (from, to, key) in [
        ("\"numSamples\": 24", "\"numSamples\": 25", "numSamples"),
        ("\"minTime\": 1000", "\"minTime\": 1001", "times"),
    ] {
        let wrong = changed(&memory, &meta, text.replace(from, to).as_bytes());
        let mut found = Vec::new();
        open(&wrong, &dir, 0)
            .unwrap()
            .verify(&mut |damage| found.push(damage))
            .unwrap();
        assert!(found.iter().any(|d| d.expected.contains(key)), "{key}: {found:?}");
    }
}
