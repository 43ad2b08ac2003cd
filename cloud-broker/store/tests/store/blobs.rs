//! Blobs as files.

use headwater_store::ErrorKind;
use headwater_store::faulty::FakeDisk;

use crate::support::open;

#[test]
fn a_blob_is_stored_once_and_read_in_parts() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let blobs = &store.blobs;
    blobs.put_new("s/00001/x/1", b"0123456789").unwrap();
    assert_eq!(
        blobs.put_new("s/00001/x/1", b"other").unwrap_err().kind,
        ErrorKind::Exists
    );
    assert_eq!(blobs.get("s/00001/x/1", 2..4).unwrap(), b"23"[..]);
    assert_eq!(blobs.get("s/00001/x/1", 8..100).unwrap(), b"89"[..]);
    assert_eq!(blobs.get("s/00001/x/1", 100..200).unwrap(), b""[..]);
    assert_eq!(
        blobs.get("s/00001/x/2", 0..1).unwrap_err().kind,
        ErrorKind::NotFound
    );
    disk.crash();
    let store = open(&disk).unwrap();
    assert_eq!(
        store.blobs.get("s/00001/x/1", 0..u64::MAX).unwrap(),
        b"0123456789"[..]
    );
    store.blobs.delete("s/00001/x/1").unwrap();
    store.blobs.delete("s/00001/x/1").unwrap();
    disk.crash();
    let store = open(&disk).unwrap();
    assert_eq!(store.blobs.list("").unwrap(), Vec::<String>::new());
}

#[test]
fn names_are_listed_by_prefix() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    for name in [
        "s/00001/x/2",
        "s/00001/x/1",
        "s/00001/g/1",
        "s/00002/x/1",
        "a",
    ] {
        store.blobs.put_new(name, b"").unwrap();
    }
    let list = |prefix| store.blobs.list(prefix).unwrap();
    assert_eq!(list("s/00001/x/"), ["s/00001/x/1", "s/00001/x/2"]);
    assert_eq!(
        list("s/00001"),
        ["s/00001/g/1", "s/00001/x/1", "s/00001/x/2"]
    );
    assert_eq!(list("").len(), 5);
    assert_eq!(list("t/x"), Vec::<String>::new());
}

#[test]
fn a_name_cannot_leave_the_directory() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    for name in [
        "", "/a", "a/", "../a", "a/../b", ".tmp/0", "a//b", "a\0b", "ä",
    ] {
        assert_eq!(
            store.blobs.put_new(name, b"").unwrap_err().kind,
            ErrorKind::Invalid,
            "{name}"
        );
        assert_eq!(
            store.blobs.get(name, 0..1).unwrap_err().kind,
            ErrorKind::Invalid
        );
    }
}
