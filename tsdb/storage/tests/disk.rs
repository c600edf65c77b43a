//! What every disk promises, the same for all of them; and what only those promise that fail on purpose.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::entropy::SeededEntropy;
use leadline_storage::disk::Disk;
use leadline_storage::disk::RealDisk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::memory::MemoryDisk;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs `check` on an empty folder of every kind of disk.
fn on_every_disk(check: fn(&dyn Disk, &Path)) {
    let memory = MemoryDisk::new();
    memory.create_dir_all(Path::new("/d")).unwrap();
    check(&memory, Path::new("/d"));
    let real = tempfile::tempdir().unwrap();
    check(&RealDisk, real.path());
    let real = tempfile::tempdir().unwrap();
    check(&faulty(Arc::new(RealDisk)), real.path());
}

fn faulty(inner: Arc<dyn Disk>) -> FaultyDisk {
    FaultyDisk::new(inner, Arc::new(SeededEntropy::new(7)))
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let mut file = disk.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn get(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<(String, bool, u64)> {
    let entries = disk.list(dir).unwrap().into_iter();
    entries.map(|e| (e.name, e.is_dir, e.len)).collect()
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn what_is_written_is_read_at_once() {
    on_every_disk(|disk, dir| {
        let path = dir.join("f");
        let mut file = disk.create(&path).unwrap();
        let reader = disk.open(&path).unwrap();
        assert!(file.is_empty() && reader.is_empty().unwrap());
        file.write_all(b"hello ").unwrap();
        file.write_all(b"world").unwrap();
        file.write_at(b"W", 6).unwrap();
        assert_eq!((file.len(), reader.len().unwrap()), (11, 11));
        assert_eq!(get(disk, &path), b"hello World");
        let mut tail = [0; 8];
        assert_eq!(reader.read_at(&mut tail, 6).unwrap(), 5);
        assert_eq!(&tail[..5], b"World");
        assert_eq!(reader.read_at(&mut tail, 11).unwrap(), 0);
        assert_eq!(reader.read_at(&mut tail, 1 << 40).unwrap(), 0);
        assert_eq!(kind(reader.read_exact_at(&mut tail, 6)), Some(ErrorKind::UnexpectedEof));
    });
}

#[test]
fn creating_empties_and_appending_goes_on() {
    on_every_disk(|disk, dir| {
        let path = dir.join("f");
        assert_eq!(kind(disk.append(&path)), Some(ErrorKind::NotFound));
        put(disk, &path, b"first");
        let mut file = disk.append(&path).unwrap();
        assert_eq!(file.len(), 5);
        file.write_all(b" second").unwrap();
        assert_eq!(get(disk, &path), b"first second");
        assert_eq!(disk.create(&path).unwrap().len(), 0);
        assert_eq!(get(disk, &path), b"");
    });
}

#[test]
fn lengths_are_cut_and_filled_with_zeros() {
    on_every_disk(|disk, dir| {
        let path = dir.join("f");
        put(disk, &path, b"abcdef");
        let mut file = disk.append(&path).unwrap();
        file.set_len(3).unwrap();
        file.set_len(5).unwrap();
        assert_eq!(get(disk, &path), b"abc\0\0");
        file.write_all(b"X").unwrap();
        assert_eq!(get(disk, &path), b"abc\0\0X");
        file.allocate(4).unwrap();
        assert_eq!(file.len(), 6, "what is there is not cut");
        file.allocate(10).unwrap();
        assert_eq!(get(disk, &path), b"abc\0\0X\0\0\0\0");
    });
}

#[test]
fn folders_list_their_entries_by_name() {
    on_every_disk(|disk, dir| {
        disk.create_dir_all(&dir.join("b/inner")).unwrap();
        disk.create_dir_all(&dir.join("b/inner")).unwrap();
        put(disk, &dir.join("c"), b"123");
        put(disk, &dir.join("a"), b"");
        let file = |name: &str, len| (name.to_owned(), false, len);
        assert_eq!(
            names(disk, dir),
            [file("a", 0), ("b".to_owned(), true, 0), file("c", 3)]
        );
        disk.sync_dir(dir).unwrap();
        for (path, there) in [
            ("a", true),
            ("b", true),
            ("b/inner", true),
            ("b/x", false),
            ("x/y", false),
        ] {
            assert_eq!(disk.exists(&dir.join(path)).unwrap(), there, "{path}");
        }
        assert!(disk.space(dir).unwrap().free > 0);
    });
}

#[test]
fn renaming_replaces_files_and_empty_folders_only() {
    on_every_disk(|disk, dir| {
        let at = |name: &str| dir.join(name);
        put(disk, &at("old"), b"new content");
        put(disk, &at("new"), b"gone");
        disk.rename(&at("old"), &at("new")).unwrap();
        assert_eq!(get(disk, &at("new")), b"new content");
        assert!(!disk.exists(&at("old")).unwrap());
        disk.create_dir_all(&at("full")).unwrap();
        put(disk, &at("full/f"), b"1");
        disk.create_dir_all(&at("empty")).unwrap();
        disk.rename(&at("full"), &at("empty")).unwrap();
        assert_eq!(get(disk, &at("empty/f")), b"1");
        disk.create_dir_all(&at("other")).unwrap();
        assert_eq!(
            kind(disk.rename(&at("other"), &at("empty"))),
            Some(ErrorKind::DirectoryNotEmpty)
        );
        assert_eq!(
            kind(disk.rename(&at("new"), &at("other"))),
            Some(ErrorKind::IsADirectory)
        );
        assert_eq!(
            kind(disk.rename(&at("other"), &at("new"))),
            Some(ErrorKind::NotADirectory)
        );
        assert_eq!(kind(disk.rename(&at("nothing"), &at("x"))), Some(ErrorKind::NotFound));
    });
}

#[test]
fn a_file_that_takes_the_place_of_another_goes_on_being_written_and_read() {
    on_every_disk(|disk, dir| {
        let (old, new) = (dir.join("f"), dir.join("f.tmp"));
        put(disk, &old, b"old");
        let mut file = disk.create(&new).unwrap();
        file.write_all(b"ne").unwrap();
        let reader = disk.open(&new).unwrap();
        disk.rename(&new, &old).unwrap();
        file.write_all(b"w").unwrap();
        let mut bytes = [0; 3];
        reader.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!((&bytes[..], get(disk, &old)), (&b"new"[..], b"new".to_vec()));
    });
}

#[test]
fn a_link_is_the_same_file_and_outlives_the_first_name() {
    on_every_disk(|disk, dir| {
        let (one, two) = (dir.join("one"), dir.join("two"));
        put(disk, &one, b"x");
        disk.link(&one, &two).unwrap();
        assert_eq!(kind(disk.link(&one, &two)), Some(ErrorKind::AlreadyExists));
        disk.remove_file(&one).unwrap();
        assert_eq!(get(disk, &two), b"x");
    });
}

#[test]
fn what_is_removed_is_gone_for_those_who_open_it_and_not_for_those_who_did() {
    on_every_disk(|disk, dir| {
        disk.create_dir_all(&dir.join("d/e")).unwrap();
        let path = dir.join("d/e/f");
        put(disk, &path, b"still");
        let reader = disk.open(&path).unwrap();
        disk.remove_dir_all(&dir.join("d")).unwrap();
        assert_eq!(kind(disk.open(&path)), Some(ErrorKind::NotFound));
        assert!(names(disk, dir).is_empty());
        let mut bytes = [0; 5];
        reader.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"still");
        for result in [
            disk.remove_file(&path),
            disk.remove_dir_all(&dir.join("d")),
            disk.sync_dir(&dir.join("d")),
            disk.list(&dir.join("d")).map(drop),
            disk.create(&path).map(drop),
        ] {
            assert_eq!(kind(result), Some(ErrorKind::NotFound));
        }
    });
}

#[test]
fn a_lock_has_one_holder_until_it_is_dropped() {
    on_every_disk(|disk, dir| {
        let path = dir.join("lock");
        let held = disk.lock(&path).unwrap();
        assert_eq!(kind(disk.lock(&path)), Some(ErrorKind::WouldBlock));
        drop(held);
        drop(disk.lock(&path).unwrap());
        assert!(disk.exists(&path).unwrap());
    });
}

// ------------------------------------------------------------------------------------------------------------ memory

/// What a crash leaves of what `prepare` does, over many seeds: each outcome once.
fn outcomes(prepare: fn(&MemoryDisk), path: &str) -> Vec<Option<Vec<u8>>> {
    let mut seen: Vec<Option<Vec<u8>>> = (0..400)
        .map(|seed| {
            let disk = MemoryDisk::new();
            prepare(&disk);
            let after = disk.crash(&SeededEntropy::new(seed));
            let path = Path::new(path);
            after.exists(path).unwrap().then(|| get(&after, path))
        })
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

fn sync_root(disk: &MemoryDisk) {
    disk.sync_dir(Path::new("/")).unwrap();
}

#[test]
fn a_file_survives_for_sure_once_it_and_its_folder_are_synced() {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let durable = outcomes(
        |disk| {
            put(disk, Path::new("/f"), b"abc");
            sync_root(disk);
        },
        "/f",
    );
    assert_eq!(durable, [some(b"abc")]);
    let nameless = outcomes(|disk| put(disk, Path::new("/f"), b"abc"), "/f");
    assert_eq!(nameless, [None, some(b"abc")]);
    let unsynced = outcomes(
        |disk| {
            disk.create(Path::new("/f")).unwrap().write_all(b"abc").unwrap();
            sync_root(disk);
        },
        "/f",
    );
    for must in [&b""[..], b"a", b"ab", b"abc", b"\0\0"] {
        assert!(unsynced.contains(&some(must)), "{must:?} of {unsynced:?}");
    }
}

#[test]
fn a_rename_is_undone_or_done_until_the_folder_is_synced() {
    fn replace(disk: &MemoryDisk) {
        put(disk, Path::new("/f"), b"old");
        put(disk, Path::new("/f.tmp"), b"new");
        sync_root(disk);
        disk.rename(Path::new("/f.tmp"), Path::new("/f")).unwrap();
    }
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    assert_eq!(outcomes(replace, "/f"), [some(b"new"), some(b"old")]);
    assert_eq!(outcomes(replace, "/f.tmp"), [None, some(b"new")]);
    let synced = |disk: &MemoryDisk| {
        replace(disk);
        sync_root(disk);
    };
    assert_eq!(outcomes(synced, "/f"), [some(b"new")]);
}

#[test]
fn sectors_are_lost_one_by_one() {
    let torn = outcomes(
        |disk| {
            let mut file = disk.create(Path::new("/f")).unwrap();
            file.write_all(&[1; 2048]).unwrap();
            file.sync().unwrap();
            sync_root(disk);
            file.write_at(&[2; 2048], 0).unwrap();
        },
        "/f",
    );
    let holed = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_ref().unwrap();
        assert_eq!(bytes.len(), 2048);
        bytes[0] == 2 && bytes[600] == 1 && bytes[1100] == 2
    };
    assert!(torn.iter().any(holed), "{} outcomes", torn.len());
}

#[test]
fn locks_and_limits_end_with_a_crash_and_the_same_seed_gives_the_same_disk() {
    let disk = MemoryDisk::new();
    let lock = disk.lock(Path::new("/lock")).unwrap();
    sync_root(&disk);
    put(&disk, Path::new("/f"), &[9; 5000]);
    disk.limit(Some(1));
    let [one, two] = [(); 2].map(|()| disk.duplicate().crash(&SeededEntropy::new(3)));
    assert_eq!(names(&one, Path::new("/")), names(&two, Path::new("/")));
    drop(one.lock(Path::new("/lock")).unwrap());
    put(&one, Path::new("/g"), b"more than one byte");
    drop(lock);
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let disk = MemoryDisk::new();
    let mut file = disk.create(Path::new("/f")).unwrap();
    disk.limit(Some(4));
    assert_eq!(kind(file.write_all(b"abcdef")), Some(ErrorKind::StorageFull));
    assert_eq!((file.len(), get(&disk, Path::new("/f"))), (4, b"abcd".to_vec()));
    assert_eq!(kind(file.allocate(5)), Some(ErrorKind::StorageFull));
    assert_eq!(kind(file.set_len(5)), Some(ErrorKind::StorageFull));
    file.write_at(b"X", 0).unwrap();
    assert_eq!(disk.space(Path::new("/")).unwrap().free, 0);
    disk.limit(None);
    file.write_all(b"ef").unwrap();
    assert_eq!(get(&disk, Path::new("/f")), b"Xbcdef");
    assert_eq!(disk.used(), 6);
}

#[test]
fn what_a_failed_sync_loses_a_later_one_does_not_save() {
    let disk = MemoryDisk::new();
    let mut file = disk.create(Path::new("/f")).unwrap();
    sync_root(&disk);
    file.write_all(b"lost").unwrap();
    disk.fail_sync(0);
    assert!(file.sync().is_err());
    file.write_all(b"kept").unwrap();
    file.sync().unwrap();
    assert_eq!(get(&disk, Path::new("/f")), b"lostkept");
    let after = disk.crash(&SeededEntropy::new(1));
    assert_eq!(get(&after, Path::new("/f")), b"\0\0\0\0kept");
}

// ------------------------------------------------------------------------------------------------------------ faulty

#[test]
fn each_fault_goes_off_once_where_it_is_armed() {
    for fault in Fault::ALL {
        let disk = faulty(Arc::new(MemoryDisk::new()));
        let path = PathBuf::from("/f");
        put(&disk, &path, &[5; 64]);
        disk.arm(fault, 0);
        let mut file = disk.append(&path);
        let written = file
            .as_mut()
            .map_err(|_| ())
            .and_then(|f| f.write_all(&[6; 64]).map_err(|_| ()));
        let synced = file.as_mut().map_err(|_| ()).and_then(|f| f.sync().map_err(|_| ()));
        disk.sync_dir(Path::new("/")).unwrap();
        let reader = disk.open(&path).unwrap();
        let mut bytes = [0; 64];
        let read = reader.read_at(&mut bytes, 0).unwrap();
        let sound = (written.is_ok(), synced.is_ok(), read == 64 && bytes == [5; 64]);
        let want = match fault {
            Fault::TornWrite | Fault::Full => (false, true, true),
            Fault::ShortRead | Fault::BitFlip => (true, true, false),
            Fault::Failure => (false, false, true),
            Fault::FailedSync | Fault::BadSpot => (true, false, true),
        };
        assert_eq!(sound, want, "{fault:?}");
        assert_eq!(disk.fired().iter().map(|f| f.fault).collect::<Vec<_>>(), [fault]);
        let len = reader.len().unwrap();
        let torn = matches!(fault, Fault::TornWrite | Fault::Full);
        assert!(
            if torn {
                len < 128
            } else {
                len == 128 || fault == Fault::Failure
            },
            "{fault:?}: {len}"
        );
        disk.lift();
        put(&disk, &path, &[7; 100]);
        assert_eq!(get(&disk, &path), [7; 100]);
    }
}

#[test]
fn a_disk_stays_full_until_there_is_room() {
    let disk = faulty(Arc::new(MemoryDisk::new()));
    disk.arm(Fault::Full, 1);
    let mut file = disk.create(Path::new("/f")).unwrap();
    for _ in 0..3 {
        assert_eq!(kind(file.write_all(b"12345678")), Some(ErrorKind::StorageFull));
        assert_eq!(kind(disk.create(Path::new("/g"))), Some(ErrorKind::StorageFull));
    }
    assert_eq!(disk.space(Path::new("/")).unwrap().free, 0);
    disk.lift();
    file.write_all(b"12345678").unwrap();
    disk.create(Path::new("/g")).unwrap();
}

#[test]
fn a_fault_waits_for_as_many_operations_as_it_was_told() {
    let disk = faulty(Arc::new(MemoryDisk::new()));
    disk.arm(Fault::TornWrite, 2);
    let mut file = disk.create(Path::new("/f")).unwrap();
    let ok: Vec<bool> = (0..4).map(|_| file.write_all(b"abc").is_ok()).collect();
    assert_eq!(ok, [true, true, false, true]);
}
