//! Registers in redb.

use headwater_store::faulty::{FakeDisk, FaultPlan};
use headwater_store::{ErrorKind, Outcome, Version};

use crate::support::open;

#[test]
fn a_register_is_created_once_and_changed_by_who_knows_it() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    let registers = &store.registers;
    assert_eq!(registers.read("cluster").unwrap(), None);
    assert_eq!(registers.create("cluster", b"one").unwrap(), Outcome::Mine);
    let first = registers.read("cluster").unwrap().unwrap();
    assert_eq!(first.value, b"one"[..]);
    assert_eq!(
        registers.create("cluster", b"x").unwrap(),
        Outcome::Theirs(first.clone())
    );
    assert_eq!(
        registers.cas("cluster", &first.version, b"two").unwrap(),
        Outcome::Mine
    );
    let second = registers.read("cluster").unwrap().unwrap();
    assert_ne!(first.version, second.version);
    let late = registers.cas("cluster", &first.version, b"late").unwrap();
    assert_eq!(late, Outcome::Theirs(second.clone()));
    disk.crash();
    let store = open(&disk).unwrap();
    assert_eq!(store.registers.read("cluster").unwrap(), Some(second));
}

#[test]
fn a_register_that_is_not_there_cannot_be_changed() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    store.registers.create("a", b"").unwrap().mine();
    let version = store.registers.read("a").unwrap().unwrap().version;
    let missing = store.registers.cas("b", &version, b"").unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    let foreign = Version(Box::new([1, 2]));
    let refused = store.registers.cas("a", &foreign, b"").unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
}

#[test]
fn names_are_listed_by_prefix() {
    let disk = FakeDisk::new(1);
    let store = open(&disk).unwrap();
    assert_eq!(store.registers.list("s/").unwrap(), Vec::<String>::new());
    for name in ["s/1", "t", "s/0", "m/1"] {
        store.registers.create(name, b"").unwrap().mine();
    }
    assert_eq!(store.registers.list("s/").unwrap(), ["s/0", "s/1"]);
    assert_eq!(store.registers.list("").unwrap().len(), 4);
}

#[test]
fn after_a_failed_sync_the_registers_are_opened_again() {
    for (seed, fail) in (0..4).flat_map(|seed| (1..6).map(move |fail| (seed, fail))) {
        let disk = FakeDisk::new(seed * 10 + fail);
        let store = open(&disk).unwrap();
        store.registers.create("a", b"0").unwrap().mine();
        disk.plan(FaultPlan {
            fail_sync: Some(fail),
            ..FaultPlan::default()
        });
        let mut acknowledged = b'0';
        let mut attempted = b'0';
        for value in b'1'..=b'9' {
            let there = store.registers.read("a").unwrap().unwrap();
            assert!(there.value[0] == acknowledged || there.value[0] == attempted);
            attempted = value;
            match store.registers.cas("a", &there.version, &[value]).unwrap() {
                Outcome::Mine => acknowledged = value,
                Outcome::Unknown => {}
                Outcome::Theirs(there) => panic!("nobody else writes, but there is {there:?}"),
            }
        }
        assert_eq!(acknowledged, b'9');
        disk.crash();
        let store = open(&disk).unwrap();
        assert_eq!(store.registers.read("a").unwrap().unwrap().value, b"9"[..]);
    }
}

/// As its contract says: who does not know asks again with the same bytes, and is told.
#[test]
fn a_write_whose_sync_failed_is_known_when_it_is_asked_for_again() {
    let mut unknown = 0;
    for (seed, fail) in (0..8).flat_map(|seed| (1..6).map(move |fail| (seed, fail))) {
        let disk = FakeDisk::new(seed * 10 + fail);
        let store = open(&disk).unwrap();
        store.registers.create("a", b"0").unwrap().mine();
        let before = store.registers.read("a").unwrap().unwrap().version;
        disk.plan(FaultPlan {
            fail_sync: Some(fail),
            ..FaultPlan::default()
        });
        let ask = || store.registers.cas("a", &before, b"mine").unwrap();
        let mut outcome = ask();
        while outcome == Outcome::Unknown {
            unknown += 1;
            outcome = ask();
        }
        outcome.mine();
        let other = store.registers.cas("a", &before, b"other").unwrap();
        assert!(matches!(other, Outcome::Theirs(_)), "{other:?}");
        drop(store);
        disk.crash();
        let store = open(&disk).unwrap();
        assert_eq!(
            store.registers.read("a").unwrap().unwrap().value,
            b"mine"[..]
        );
    }
    assert!(unknown > 0);
}

#[test]
fn a_damaged_database_is_an_error_at_the_start() {
    let whole = FakeDisk::new(1);
    let store = open(&whole).unwrap();
    for name in ["a", "b", "c"] {
        store.registers.create(name, &[7; 2000]).unwrap().mine();
    }
    drop(store);
    let path = "registers.redb";
    let bytes = whole.contents(path).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let disk = FakeDisk::new(1);
        let mut changed = bytes.clone();
        let end = (at + 300).min(changed.len());
        changed[at..end].fill(0xa5);
        disk.replace(path, changed);
        match open(&disk) {
            Err(error) => {
                refused += 1;
                let kinds = [ErrorKind::Damaged, ErrorKind::Io];
                assert!(kinds.contains(&error.kind), "{error}");
            }
            Ok(store) => {
                for name in ["a", "b", "c"] {
                    let there = store.registers.read(name).unwrap().unwrap();
                    assert_eq!(there.value, vec![7; 2000]);
                }
            }
        }
    }
    assert!(refused > 0);
}

trait Expected {
    /// The write went through.
    fn mine(self);
}

impl Expected for Outcome<headwater_store::Registered> {
    fn mine(self) {
        assert_eq!(self, Self::Mine);
    }
}
