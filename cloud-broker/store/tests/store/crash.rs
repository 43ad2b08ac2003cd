//! Power loss and kills at every change of the disk, from seeds.
//!
//! The oracle: what was acknowledged is there, byte for byte and in its chain; beyond it at most
//! the one frame that was on its way; nothing counts as damaged.

use headwater_store::faulty::{FakeDisk, FaultPlan};
use headwater_store::{Outcome, Store, StoreError};

use crate::support::{Journal, Writer, open};

/// What a life of the broker does to its store, with what it was told.
struct Life {
    writer: Writer,
    /// Slots below it were given up.
    low: u64,
    register: Told,
    /// Blobs that were stored, and whether the last one may be.
    blobs: u64,
}

/// A register's last acknowledged value, and one that may have replaced it.
#[derive(Default)]
struct Told {
    value: u64,
    maybe: Option<u64>,
}

const REGISTER: &str = "s/00001/manifest";

impl Life {
    fn new(inc: u8, seed: u64) -> Self {
        Self {
            writer: Writer::new(inc, seed),
            low: 0,
            register: Told::default(),
            blobs: 0,
        }
    }

    /// Several files of chunks, some given up, with a register and blobs in between.
    fn run(&mut self, store: &Store) -> Result<(), StoreError> {
        for step in 0..20u64 {
            self.writer.put(store)?;
            if step % 7 == 3 {
                self.write_register(store)?;
            }
            if step % 9 == 5 {
                store
                    .blobs
                    .put_new(&blob(self.blobs), &self.blobs.to_le_bytes())?;
                self.blobs += 1;
            }
            if step == 14 {
                self.low = 12;
                store.slots.delete_below(self.writer.inc, 12)?;
            }
        }
        Ok(())
    }

    fn write_register(&mut self, store: &Store) -> Result<(), StoreError> {
        let value = self.register.value + 1;
        self.register.maybe = Some(value);
        let bytes = value.to_le_bytes();
        let outcome = match store.registers.read(REGISTER)? {
            None => store.registers.create(REGISTER, &bytes)?,
            Some(there) => store.registers.cas(REGISTER, &there.version, &bytes)?,
        };
        match outcome {
            Outcome::Mine => self.register = Told { value, maybe: None },
            Outcome::Unknown => return Err(gone()),
            Outcome::Theirs(there) => panic!("nobody else writes, but there is {there:?}"),
        }
        Ok(())
    }

    fn verify(&mut self, store: &Store) {
        let first = Journal::read(store, self.writer.inc, 0).end.first;
        assert!(
            first <= self.low,
            "slot {first} is the first, {} were given up",
            self.low
        );
        self.writer.verify(store, first);
        let there = store.registers.read(REGISTER).unwrap();
        let there = there.map_or(0, |there| {
            u64::from_le_bytes(there.value[..].try_into().unwrap())
        });
        assert!(there == self.register.value || Some(there) == self.register.maybe);
        self.register = Told {
            value: there,
            maybe: None,
        };
        for number in 0..self.blobs {
            let bytes = store.blobs.get(&blob(number), 0..u64::MAX).unwrap();
            assert_eq!(bytes, number.to_le_bytes()[..]);
        }
    }
}

fn blob(number: u64) -> String {
    format!("s/00001/x/{number:08x}")
}

fn gone() -> StoreError {
    StoreError::new(headwater_store::ErrorKind::Io, "Cannot reach", "the disk")
}

/// One life until change `at`, then a restart with power loss or without.
fn life_ends(seed: u64, at: u64, power_loss: bool) -> bool {
    let disk = FakeDisk::new(seed.wrapping_mul(1000) + at);
    disk.plan(FaultPlan {
        power_off_at_change: Some(at),
        ..FaultPlan::default()
    });
    let mut life = Life::new(1, seed);
    let ended = open(&disk).and_then(|store| life.run(&store)).is_err();
    match power_loss {
        true => disk.crash(),
        false => disk.kill(),
    }
    let store = open(&disk).unwrap();
    life.verify(&store);
    // What was shown must not vanish with the power.
    disk.crash();
    let store = open(&disk).unwrap();
    life.writer.failed = None;
    life.verify(&store);
    // The earlier life is sealed, and the next one begins.
    life.writer.seal(&store).unwrap();
    let mut next = Life::new(2, seed + 1);
    next.register.value = life.register.value;
    next.blobs = 10;
    for number in 0..10 {
        let _ = store.blobs.put_new(&blob(number), &number.to_le_bytes());
    }
    next.run(&store).unwrap();
    disk.crash();
    let store = open(&disk).unwrap();
    life.register.value = next.register.value;
    life.verify(&store);
    next.verify(&store);
    assert!(Journal::read(&store, life.writer.inc, 0).end.sealed);
    ended
}

/// Every change of one life.
fn every_change(seed: u64, power_loss: bool) {
    let mut at = 1;
    while life_ends(seed, at, power_loss) {
        at += 1;
    }
    assert!(at > 100, "a life has {at} changes");
}

#[test]
fn power_loss_at_every_change_loses_nothing_acknowledged() {
    every_change(1, true);
    every_change(2, true);
}

#[test]
fn a_kill_at_every_change_loses_nothing_and_shows_nothing_that_can_vanish() {
    every_change(3, false);
}

#[test]
fn power_is_lost_while_a_journal_is_recovered_and_sealed() {
    for seed in 0..60 {
        let disk = FakeDisk::new(seed);
        let store = open(&disk).unwrap();
        let mut writer = Writer::new(1, seed);
        let lives = FaultPlan {
            power_off_at_change: Some(20 + seed),
            ..FaultPlan::default()
        };
        disk.plan(lives);
        while writer.put(&store).is_ok() {}
        disk.crash();
        for at in 1.. {
            disk.plan(FaultPlan {
                power_off_at_change: Some(at),
                ..FaultPlan::default()
            });
            let sealed = open(&disk).and_then(|store| {
                let journal = Journal::try_read(&store, writer.inc, 0)?;
                if journal.end.next > writer.next() {
                    writer.acknowledged.extend(writer.failed.take());
                }
                if journal.end.sealed {
                    Ok(())
                } else {
                    writer.seal(&store)
                }
            });
            disk.crash();
            if sealed.is_ok() {
                break;
            }
        }
        let store = open(&disk).unwrap();
        writer.verify(&store, 0);
        assert!(Journal::read(&store, writer.inc, 0).end.sealed);
    }
}

/// A life that was killed, or a sync that failed, has left the directory behind.
#[test]
fn a_journals_directory_is_as_durable_as_its_first_file() {
    for change in 1.. {
        let mut is_over = false;
        for seed in 0..8 {
            let disk = FakeDisk::new(seed);
            let store = open(&disk).unwrap();
            disk.plan(FaultPlan {
                power_off_at_change: Some(change),
                ..FaultPlan::default()
            });
            let _ = Writer::new(1, 1).put(&store);
            is_over = disk.is_powered();
            drop(store);
            disk.kill();
            let store = open(&disk).unwrap();
            let mut writer = Writer::new(1, 1);
            writer.put(&store).unwrap();
            drop(store);
            disk.crash();
            let journal = Journal::read(&open(&disk).unwrap(), writer.inc, 0);
            assert_eq!(journal.end.next, 1, "change {change}, seed {seed}");
        }
        if is_over {
            return;
        }
    }
}

/// With a disk that lies, or an engine that does not sync, the oracle must see the loss, or the
/// tests above prove nothing.
#[test]
fn the_oracle_sees_what_a_lying_disk_loses() {
    let losses = (0..20).filter(|seed| {
        let disk = FakeDisk::new(*seed);
        let store = open(&disk).unwrap();
        let mut writer = Writer::new(1, *seed);
        writer.put(&store).unwrap();
        disk.plan(FaultPlan {
            lie_from_sync: Some(1),
            ..FaultPlan::default()
        });
        for _ in 0..3 {
            writer.put(&store).unwrap();
        }
        disk.crash();
        let store = open(&disk).unwrap();
        let journal = Journal::read(&store, writer.inc, 0);
        journal.end.next < writer.next() || !journal.damage.is_empty()
    });
    assert!(losses.count() > 5);
}
