//! A store whose calls go wrong: as planned, the same for the same seed, and all of it noted.

use headwater_store::faulty::FakeDisk;
use headwater_store::faulty::calls::{CallPlan, FaultyCalls};
use headwater_store::faulty::history::{Call, Operation, Told};
use headwater_store::{Outcome, Store};

use crate::support::{Writer, open};

/// Every 1000th of 1000: always.
const ALWAYS: u64 = 1000;

fn begin(seed: u64, plan: CallPlan) -> (FakeDisk, FaultyCalls, Store) {
    let (disk, calls) = (FakeDisk::new(seed), FaultyCalls::new(seed));
    let store = calls.open(open(&disk).unwrap());
    calls.plan(plan);
    (disk, calls, store)
}

fn put(store: &Store, writer: &mut Writer) -> Outcome<()> {
    let frame = writer.chunk(100);
    match store.slots.put_absent(writer.slot(0), &[&frame.bytes]) {
        Ok(Outcome::Mine) => Outcome::Mine,
        Ok(Outcome::Unknown) => Outcome::Unknown,
        Ok(Outcome::Theirs(_)) | Err(_) => Outcome::Theirs(()),
    }
}

#[test]
fn an_unknown_write_is_there_or_not_or_comes_later() {
    let unknown = |plan: CallPlan| {
        let (_, calls, store) = begin(1, plan);
        let mut writer = Writer::new(1, 1);
        assert_eq!(put(&store, &mut writer), Outcome::Unknown);
        calls.plan(CallPlan::default());
        let there = |store: &Store| store.slots.get(writer.slot(0), 0..1).is_ok();
        let at_once = there(&store);
        let later = (0..200).any(|_| there(&store));
        assert_eq!(calls.late(), 0);
        (at_once, later)
    };
    let plan = CallPlan::default();
    let applied = CallPlan {
        unknown_applied: ALWAYS,
        ..plan
    };
    let lost = CallPlan {
        unknown_lost: ALWAYS,
        ..plan
    };
    let late = CallPlan {
        unknown_late: ALWAYS,
        ..plan
    };
    assert_eq!(unknown(applied), (true, true));
    assert_eq!(unknown(lost), (false, false));
    assert_eq!(unknown(late), (false, true));
}

#[test]
fn a_late_write_lands_in_a_later_life_and_harms_nobody() {
    let late = CallPlan {
        unknown_late: ALWAYS,
        ..CallPlan::default()
    };
    let (disk, calls, store) = begin(2, late);
    let mut writer = Writer::new(1, 2);
    assert_eq!(put(&store, &mut writer), Outcome::Unknown);
    calls.kill();
    assert!(store.slots.incarnations().is_err(), "the life is over");
    disk.kill();
    let store = calls.open(open(&disk).unwrap());
    // Somebody ends the journal before it comes.
    let mut taker = Writer::new(1, 3);
    let end = taker.tombstone();
    let ended = store.slots.put_absent(taker.slot(0), &[&end.bytes]);
    while calls.late() > 0 {
        store.slots.incarnations().unwrap();
    }
    let landed = calls.history().into_iter().find(|operation| operation.late);
    let landed = landed.expect("it came");
    assert_eq!((landed.life, landed.told), (1, Told::Nothing));
    let ended = ended.unwrap() == Outcome::Mine;
    assert_ne!(landed.applied, Some(ended), "one of the two is there");
}

#[test]
fn a_process_dies_before_or_behind_a_write() {
    let mut applied = Vec::new();
    for seed in 0..20 {
        let dies = CallPlan {
            dies_at_write: Some(1),
            ..CallPlan::default()
        };
        let (disk, calls, store) = begin(seed, dies);
        assert!(store.blobs.put_new("s/00001/x/1", b"1").is_err());
        assert!(calls.is_dead());
        assert!(store.registers.list("").is_err());
        disk.kill();
        let store = calls.open(open(&disk).unwrap());
        let there = store.blobs.get("s/00001/x/1", 0..1).is_ok();
        let noted = calls.history().into_iter().find_map(|operation| {
            let is_put = matches!(operation.call, Call::PutNew { .. });
            is_put.then_some(operation.applied)
        });
        assert_eq!(noted, Some(Some(there)));
        applied.push(there);
    }
    assert!(applied.contains(&true) && applied.contains(&false));
}

#[test]
fn the_same_seed_has_the_same_history() {
    let history = |seed| -> Vec<Operation> {
        let plan = CallPlan {
            unknown_applied: 100,
            unknown_lost: 100,
            unknown_late: 100,
            failed: 100,
            full: 100,
            unread: 100,
            flipped: 100,
            dies_at_write: Some(60),
        };
        let (_, calls, store) = begin(seed, plan);
        let mut writer = Writer::new(1, seed);
        for number in 0..40_u64 {
            let _ = put(&store, &mut writer);
            let _ = store.registers.create(&format!("m/{number}"), b"1");
            let _ = store.slots.get(writer.slot(number), 0..u64::MAX);
        }
        calls.history()
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}
