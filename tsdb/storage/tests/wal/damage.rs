//! Logs that are not as they were written.

use crate::support::{Read, dir, get, memory, put, read, record, write};
use leadline_storage::disk::Disk;
use leadline_storage::wal::{PAGE_BYTES, repair, segment_path, segments};
use std::sync::Arc;

/// One segment of small records, and one with records over several pages.
fn logs() -> [Vec<Vec<u8>>; 2] {
    [
        (0..24).map(|i| record(i, 5 + 9 * i as usize, i % 3 == 0)).collect(),
        vec![
            record(1, 100, false),
            record(2, 40_000, false),
            record(3, 200_000, true),
            record(4, 30_000, false),
            record(5, 50, true),
        ],
    ]
}

/// A disk whose only segment has these bytes.
fn disk_of(bytes: &[u8]) -> Arc<dyn Disk> {
    let disk = memory();
    disk.create_dir_all(dir()).unwrap();
    put(&disk, &segment_path(dir(), 0), bytes);
    disk
}

/// Where each record of a segment ends, and where it begins behind padding.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == 0 {
            at = at.next_multiple_of(PAGE_BYTES as usize).max(at + 1);
            continue;
        }
        let kind = bytes[at] & 7;
        at += 7 + usize::from(u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]));
        if kind == 1 || kind == 4 {
            ends.push(at);
        }
    }
    ends
}

/// Repairs and writes on: what was read is there still, and what was written since.
fn repaired(disk: &Arc<dyn Disk>, found: &Read) {
    repair(&**disk, dir(), found.position.segment, found.position.offset).unwrap();
    let again = read(disk);
    assert_eq!(again.records, found.records);
    assert!(again.error.is_none() && !again.torn, "{again:?}");
    let more = [record(77, 300, false)];
    write(disk, PAGE_BYTES, &more);
    let last = read(disk);
    assert_eq!(last.records.len(), found.records.len() + 1);
    assert_eq!(last.records.last(), more.last());
}

#[test]
fn every_prefix_gives_the_records_that_are_whole_and_is_torn_within_one() {
    for (records, step) in logs().into_iter().zip([1, 61]) {
        let disk = memory();
        write(&disk, 16 * PAGE_BYTES, &records);
        let bytes = get(&disk, &segment_path(dir(), 0));
        let ends = ends(&bytes);
        assert_eq!(ends.len(), records.len());
        for len in (0..=bytes.len()).step_by(step) {
            let disk = disk_of(&bytes[..len]);
            let found = read(&disk);
            let whole = ends.partition_point(|&end| end <= len);
            assert_eq!(found.records, records[..whole], "{len}");
            assert!(found.error.is_none(), "{len}: {found:?}");
            let end = whole.checked_sub(1).map_or(0, |i| ends[i]);
            // Behind a record there may be padding.
            assert_eq!(found.torn, bytes[end..len].iter().any(|&b| b != 0), "{len}");
            if len % 31 == 0 {
                repaired(&disk, &found);
            }
        }
    }
}

#[test]
fn a_tail_of_zeros_that_was_never_written_is_torn() {
    let records = logs()[0].clone();
    let disk = memory();
    write(&disk, PAGE_BYTES, &records);
    let bytes = get(&disk, &segment_path(dir(), 0));
    let ends = ends(&bytes);
    for len in 0..bytes.len() {
        let mut holed = bytes.clone();
        holed[len..].fill(0);
        holed.resize(holed.len() + 9000, 0);
        let disk = disk_of(&holed);
        let found = read(&disk);
        let whole = found.records.len();
        assert_eq!(found.records, records[..whole], "{len}");
        assert!(whole >= ends.partition_point(|&end| end <= len), "{len}");
        assert!(found.error.is_none(), "{len}: {:?}", found.error);
        if len % 13 == 0 {
            repaired(&disk, &found);
        }
    }
}

#[test]
fn a_flipped_bit_is_told_and_never_makes_a_record() {
    for (records, step) in logs().into_iter().zip([1, 1009]) {
        let disk = memory();
        write(&disk, 16 * PAGE_BYTES, &records);
        let mut bytes = get(&disk, &segment_path(dir(), 0));
        let ends = ends(&bytes);
        for bit in (0..bytes.len() * 8).step_by(step) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let disk = disk_of(&bytes);
            let found = read(&disk);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let before = ends.partition_point(|&end| end <= bit / 8);
            let padding = found.records.len() == records.len();
            assert_eq!(
                found.records,
                records[..if padding { records.len() } else { before }],
                "bit {bit}"
            );
            assert!(
                padding == (found.error.is_none() && !found.torn),
                "bit {bit}: {found:?}"
            );
            if bit % 97 == 0 {
                repaired(&disk, &found);
            }
        }
    }
}

#[test]
fn a_flipped_bit_of_the_padding_costs_no_record_before_it() {
    let disk = memory();
    let records = [record(1, 50, false), record(2, 60, false)];
    write(&disk, PAGE_BYTES, &records[..1]);
    let mut bytes = get(&disk, &segment_path(dir(), 0));
    let end = bytes.len();
    bytes.resize(PAGE_BYTES as usize, 0);
    for bit in (end * 8..bytes.len() * 8).step_by(401).chain(end * 8..end * 8 + 64) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = read(&disk_of(&bytes));
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(found.records, records[..1], "bit {bit}");
    }
}

#[test]
fn a_torn_end_before_another_segment_is_damage_and_repair_removes_what_follows() {
    let disk = memory();
    for i in 0..3 {
        write(&disk, PAGE_BYTES, &[record(i, 400, false), record(i + 10, 400, false)]);
    }
    let path = segment_path(dir(), 1);
    let bytes = get(&disk, &path);
    put(&disk, &path, &bytes[..bytes.len() - 1]);
    let found = read(&disk);
    assert_eq!(found.records.len(), 3);
    let text = found.error.as_ref().unwrap().to_string();
    assert_eq!(
        text,
        "/wal/00000001: damaged at offset 407: expected a whole fragment, got 406 bytes before the end of the file"
    );
    assert_eq!((found.position.segment, found.position.offset), (1, 407));
    repaired(&disk, &found);
    let lens: Vec<(u32, u64)> = segments(&*disk, dir())
        .unwrap()
        .iter()
        .map(|s| (s.number, s.len))
        .collect();
    assert_eq!(lens, [(0, 814), (1, PAGE_BYTES), (2, 307)]);
}

#[test]
fn zeros_between_records_are_told_however_many() {
    let disk = memory();
    // Every record fills a page, so that a page of zeros cuts none.
    let records: Vec<Vec<u8>> = (0..6).map(|i| record(i, PAGE_BYTES as usize - 7, false)).collect();
    write(&disk, 16 * PAGE_BYTES, &records);
    write(&disk, 16 * PAGE_BYTES, &records[..1]);
    let path = segment_path(dir(), 0);
    let bytes = get(&disk, &path);
    let page = PAGE_BYTES as usize;
    for (from, to) in [(0, 1), (1, 2), (2, 5), (4, 6), (0, 6)] {
        let mut holed = bytes.clone();
        holed[from * page..to * page].fill(0);
        put(&disk, &path, &holed);
        let found = read(&disk);
        assert_eq!(found.records, records[..from], "{from} to {to}");
        assert!(found.error.is_some(), "{from} to {to}");
        assert_eq!(
            (found.position.segment, found.position.offset),
            (0, (from * page) as u64)
        );
    }
    repaired(&disk, &read(&disk));
}

#[test]
fn a_missing_repeated_or_exchanged_page_is_told() {
    let disk = memory();
    // Compressed, because only the block tells that a fragment between the first and the last is not there.
    let records = [1, 2].map(|seed| [record(seed, 100_000, false), vec![0; 50_000]].concat());
    write(&disk, 16 * PAGE_BYTES, &records);
    let bytes = get(&disk, &segment_path(dir(), 0));
    let pages: Vec<&[u8]> = bytes.chunks(PAGE_BYTES as usize).collect();
    assert_eq!(pages.len(), 7);
    for order in [
        vec![0, 0, 1, 2, 3, 4, 5, 6],
        vec![0, 1, 1, 2, 3, 4, 5, 6],
        vec![0, 2, 1, 3, 4, 5, 6],
        vec![0, 1, 3, 4, 5, 6],
        vec![0, 1, 2, 4, 5, 6],
        vec![0, 1, 2, 3, 3, 4, 5, 6],
        vec![1, 2, 3, 4, 5, 6],
        vec![0, 1, 2, 4],
    ] {
        let mixed: Vec<u8> = order.iter().flat_map(|&i| pages[i]).copied().collect();
        let found = read(&disk_of(&mixed));
        assert!(found.error.is_some() || found.torn, "{order:?}");
        assert_eq!(found.records, records[..found.records.len()], "{order:?}");
    }
}
