//! Pages, fragments and segments.

use crate::support::{dir, get, log, memory, put, read, record, write};
use leadline_storage::disk::Disk;
use leadline_storage::wal::{PAGE_BYTES, Reader, Wal, remove_before, segment_path, segments, size};
use proptest::prelude::*;
use std::sync::Arc;

const PAGE: usize = PAGE_BYTES as usize;

#[test]
fn a_fragment_has_the_bytes_of_the_format() {
    let disk = memory();
    // A record that does not shrink, then one that does: kind, length, CRC-32C, data.
    write(&disk, PAGE_BYTES, &[vec![2, 7, 9], vec![2; 40]]);
    let bytes = get(&disk, &segment_path(dir(), 0));
    let mut raw = vec![1, 0, 3];
    raw.extend(crc32c::crc32c(&[2, 7, 9]).to_be_bytes());
    raw.extend([2, 7, 9]);
    assert_eq!(bytes[..10], raw);
    // A snappy block: its length, a literal of one byte, a copy of 39 bytes from one before.
    let block = [40, 0, 2, 0x9a, 1, 0];
    assert_eq!(bytes[10..13], [9, 0, block.len() as u8]);
    assert_eq!(bytes[13..17], crc32c::crc32c(&block).to_be_bytes());
    assert_eq!(bytes[17..], block);
}

#[test]
fn a_full_page_begins_the_next_one_as_prometheus_does() {
    // What the first record leaves of the page, and what becomes of the second one's first fragment.
    for (left, first_of_second) in [
        // Room for header and one byte: a first fragment of one byte.
        (8, Some(1)),
        // Room for the header alone: a first fragment without data.
        (7, Some(0)),
        // No room: zeros.
        (6, None),
        (1, None),
        (0, None),
    ] {
        let disk = memory();
        let records = [record(1, PAGE - 7 - left, false), record(2, 10, false)];
        write(&disk, 4 * PAGE_BYTES, &records);
        let bytes = get(&disk, &segment_path(dir(), 0));
        let end = &bytes[PAGE - left..PAGE];
        match first_of_second {
            Some(len) => assert_eq!(end[..3], [2, 0, len], "{left}"),
            None => assert!(end.iter().all(|&b| b == 0), "{left}"),
        }
        assert_eq!(bytes[PAGE], if first_of_second.is_some() { 4 } else { 1 }, "{left}");
        let found = read(&disk);
        assert_eq!(found.records, records, "{left}");
        assert!(found.error.is_none() && !found.torn, "{left}");
    }
}

#[test]
fn a_record_goes_into_the_next_segment_when_this_one_has_no_room() {
    let disk = memory();
    let mut wal = Wal::open(disk.clone(), dir(), 2 * PAGE_BYTES).unwrap();
    // Two pages have room for two headers; one byte more does not fit.
    let fits = record(1, 2 * (PAGE - 7), false);
    log(&mut wal, std::slice::from_ref(&fits)).unwrap();
    assert_eq!((wal.segment(), wal.segment_len()), (0, 2 * PAGE_BYTES));
    let small = record(2, 20, false);
    log(&mut wal, std::slice::from_ref(&small)).unwrap();
    assert_eq!(wal.segment(), 1);
    log(&mut wal, std::slice::from_ref(&fits)).unwrap();
    assert_eq!(wal.segment(), 2, "a record does not reach over segments");
    // One longer than a segment makes a longer segment.
    let long = record(3, 5 * PAGE, false);
    log(&mut wal, &[long.clone(), small.clone()]).unwrap();
    assert_eq!(wal.segment(), 4);
    wal.sync().unwrap();

    let lens: Vec<(u32, u64)> = segments(&*disk, dir())
        .unwrap()
        .iter()
        .map(|s| (s.number, s.len))
        .collect();
    assert_eq!(
        lens,
        [
            (0, 2 * PAGE_BYTES),
            (1, PAGE_BYTES),
            (2, 2 * PAGE_BYTES),
            (3, 6 * PAGE_BYTES),
            (4, 27)
        ]
    );
    assert_eq!(size(&*disk, dir()).unwrap(), 11 * PAGE_BYTES + 27);
    assert_eq!(read(&disk).records, [fits.clone(), small.clone(), fits, long, small]);
}

#[test]
fn every_opening_begins_a_segment_and_old_ones_are_removed_by_number() {
    let disk = memory();
    for i in 0..4 {
        write(&disk, PAGE_BYTES, &[record(i, 30, true)]);
    }
    put(&disk, &dir().join("00000001.repair"), b"left by another program");
    remove_before(&*disk, dir(), 2).unwrap();
    let numbers: Vec<u32> = segments(&*disk, dir()).unwrap().iter().map(|s| s.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(read(&disk).records, [record(2, 30, true), record(3, 30, true)]);
}

#[test]
fn a_log_is_read_while_it_is_written() {
    let disk = memory();
    let mut wal = Wal::open(disk.clone(), dir(), PAGE_BYTES * 8).unwrap();
    let mut written = Vec::new();
    for i in 0..40 {
        let some = [record(i, 3000, i % 2 == 0), record(i + 100, 12, false)];
        log(&mut wal, &some).unwrap();
        written.extend(some);
        assert_eq!(read(&disk).records, written);
    }
}

/// A disk with one segment of one fragment.
fn one_fragment(kind: u8, data: &[u8]) -> Arc<dyn Disk> {
    let mut bytes = vec![kind];
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(crc32c::crc32c(data).to_be_bytes());
    bytes.extend(data);
    let disk = memory();
    disk.create_dir_all(dir()).unwrap();
    put(&disk, &segment_path(dir(), 0), &bytes);
    disk
}

#[test]
fn zstd_is_read() {
    let disk = memory();
    disk.create_dir_all(dir()).unwrap();
    for (number, len) in [5000, 90, 80_000].into_iter().enumerate() {
        let content = record(3, len, true);
        let frame = ruzstd::encoding::compress_to_vec(content.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        let one = one_fragment(0b1_0001, &frame);
        assert_eq!(read(&one).records, std::slice::from_ref(&content));

        // Without its mark the frame is no record.
        let found = read(&one_fragment(1, &frame));
        assert!(found.records.is_empty() && found.error.is_some(), "{found:?}");

        let bytes = get(&one, &segment_path(dir(), 0));
        put(&disk, &segment_path(dir(), number as u32), &bytes);
    }
    let lens: Vec<usize> = read(&disk).records.iter().map(Vec::len).collect();
    assert_eq!(lens, [5000, 90, 80_000], "one reader reads many frames");
}

#[test]
fn a_frame_that_would_fill_the_memory_is_damage() {
    // A window of 3.75 TiB, then blocks that each repeat a byte 128 KiB times.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0xff];
    for _ in 0..4000 {
        frame.extend([0x02, 0, 0x10, b'x']);
    }
    let text = read(&one_fragment(0b1_0001, &frame)).error.unwrap().to_string();
    assert!(
        text.starts_with("/wal/00000000: damaged at offset 0: expected a zstd frame"),
        "{text}"
    );
    // With a window of 8 MiB the blocks are expanded as far as a record may go.
    frame[5] = 13 << 3;
    let text = read(&one_fragment(0b1_0001, &frame)).error.unwrap().to_string();
    assert!(text.contains("expected a record of at most 256 MiB"), "{text}");
}

#[test]
fn a_block_that_claims_too_much_is_damage_and_takes_no_memory() {
    for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x80, 0x08], &[3]] {
        let mut block = claim.to_vec();
        block.extend([0x08, b'a', b'b', b'c']);
        let found = read(&one_fragment(9, &block));
        let text = found.error.unwrap().to_string();
        assert!(
            text.starts_with("/wal/00000000: damaged at offset 0: expected a snappy block"),
            "{text}"
        );
    }
}

#[test]
fn a_missing_segment_is_damage_and_named() {
    let disk = memory();
    for i in 0..4 {
        write(&disk, PAGE_BYTES, &[record(i, 30, true)]);
    }
    disk.remove_file(&segment_path(dir(), 2)).unwrap();
    let found = read(&disk);
    assert_eq!(found.records.len(), 2);
    let text = found.error.unwrap().to_string();
    assert_eq!(
        text,
        "/wal/00000002: damaged at offset 0: expected this segment, got none, the next is 00000003"
    );
    assert_eq!(
        (found.position.segment, found.position.offset),
        (1, get(&disk, &segment_path(dir(), 1)).len() as u64)
    );

    let text = Reader::open(Arc::clone(&disk), dir(), 2..).unwrap_err().to_string();
    assert!(text.starts_with("/wal/00000002: damaged"), "{text}");
    assert!(
        Reader::open(Arc::clone(&disk), dir(), 4..)
            .unwrap()
            .next()
            .unwrap()
            .is_none()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn records_survive_whatever_their_lengths(
        batches in proptest::collection::vec(
            proptest::collection::vec((any::<u64>(), any::<bool>(), prop_oneof![
                1usize..300,
                PAGE - 30..PAGE + 30,
                2 * PAGE - 40..2 * PAGE + 20,
                1usize..100_000,
            ]), 0..5),
            1..6,
        ),
        segment_pages in 1u64..5,
        reopened in any::<bool>(),
    ) {
        let disk = memory();
        let mut wal = Wal::open(disk.clone(), dir(), segment_pages * PAGE_BYTES).unwrap();
        let mut written = Vec::new();
        for batch in batches {
            let records: Vec<Vec<u8>> = batch.into_iter().map(|(seed, shrinks, len)| record(seed, len, shrinks)).collect();
            log(&mut wal, &records).unwrap();
            written.extend(records);
            if reopened {
                wal.close().unwrap();
                wal = Wal::open(disk.clone(), dir(), segment_pages * PAGE_BYTES).unwrap();
            }
        }
        let found = read(&disk);
        prop_assert_eq!(found.records, written);
        prop_assert!(found.error.is_none() && !found.torn);
    }
}
