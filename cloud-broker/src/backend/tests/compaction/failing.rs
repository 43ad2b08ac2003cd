//! Compaction when something fails: nothing good is given up, nothing is left over, and it goes on.

use std::sync::atomic::AtomicBool;

use headwater_store::faulty::Did;

use super::*;

/// Whichever read it is that one bit of is wrong: what becomes segments, and then one segment, is
/// read again before its original is given up.
#[test]
fn a_bit_that_turns_round_on_its_way_is_no_damage() {
    for read in 1.. {
        let (site, partition) = Site::merging(read, 2);
        let shard = site.shard(partition);
        site.disk.plan(FaultPlan {
            flip_read: Some(read),
            ..FaultPlan::default()
        });
        let expected: Vec<_> = (0..8).map(|n| format!("value {n}")).collect();
        for value in &expected {
            site.append(partition, value);
        }
        site.until(|site| {
            let mut segments = site.segments();
            segments.retain(|file| file.contains(&shard));
            site.is_compacted(partition) && (1..4).contains(&segments.len())
        });
        let is_over = site.disk.reads() < read;
        site.disk.plan(FaultPlan::default());
        assert_eq!(values(&site.records(partition)), expected, "{read}");
        assert_eq!(site.options.metrics.damaged_batches.value(), 0, "{read}");
        if is_over {
            assert!(read > 20, "{read}");
            return;
        }
    }
}

/// What was written in vain does not gather, and a failure in one shard keeps no other waiting.
#[test]
fn cuts_that_fail_again_and_again_leave_nothing() {
    let mut site = Site::new(1);
    site.compact_after(1);
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    site.disk.plan(FaultPlan {
        fail_changes_of: Some("/x/"),
        ..FaultPlan::default()
    });
    site.append(partition, "a");
    let failures = |site: &Site| {
        let history = site.disk.history().into_iter();
        let is_snapshot = |what: &Did| matches!(what, Did::Rename { to } if to.contains("/x/"));
        let failures = history.filter(|change| !change.done && is_snapshot(&change.what));
        failures.count()
    };
    site.until(|site| {
        site.since_boot.fetch_add(1000, Ordering::Relaxed);
        failures(site) > 20
    });
    assert!(site.segments().len() <= 1, "{:?}", site.segments());
    site.disk.plan(FaultPlan::default());
    site.until(|site| {
        site.since_boot.fetch_add(1000, Ordering::Relaxed);
        site.is_compacted(partition)
    });
    assert_eq!(values(&site.records(partition)), ["a"]);
    check_nothing_is_left_over(&mut site);
}

/// The cut is made: nothing is written again for a journal that cannot be given up.
#[test]
fn a_journal_that_cannot_be_given_up_is_no_reason_to_cut_again() {
    let mut site = Site::new(1);
    site.compact_after(1000);
    site.options.thresholds.journal_bytes = u64::MAX;
    let looks = Arc::new(AtomicI64::new(0));
    let (clock, seen) = (Arc::clone(&site.options.monotonic), Arc::clone(&looks));
    site.options.monotonic = Arc::new(move || {
        seen.fetch_add(1, Ordering::Relaxed);
        clock()
    });
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    let large = "x".repeat(2000);
    for _ in 0..400 {
        site.append(partition, &large);
    }
    // Journals that are given up become spare files.
    site.disk.plan(FaultPlan {
        fail_changes_of: Some("spare"),
        ..FaultPlan::default()
    });
    site.since_boot.store(1 << 40, Ordering::Relaxed);
    site.until(|site| site.is_compacted(partition));
    let cuts = |site: &Site| {
        let history = site.disk.history().into_iter();
        let is_snapshot = |what: &Did| matches!(what, Did::Rename { to } if to.contains("/x/"));
        history.filter(|change| is_snapshot(&change.what)).count()
    };
    let wait = |site: &Site| {
        let until = looks.load(Ordering::Relaxed) + 200;
        site.until(|site| {
            site.since_boot.fetch_add(1000, Ordering::Relaxed);
            looks.load(Ordering::Relaxed) > until
        });
    };
    wait(&site);
    let before = cuts(&site);
    wait(&site);
    assert_eq!(cuts(&site), before);
}

/// It panics once; then there is another.
#[test]
fn a_thread_that_has_died_is_started_again() {
    let mut site = Site::new(1);
    site.compact_after(3);
    site.options.compaction_thread = true;
    let clock = Arc::clone(&site.options.monotonic);
    let died = AtomicBool::new(false);
    site.options.monotonic = Arc::new(move || {
        let thread = std::thread::current();
        if thread.name() == Some("headwater-compact") && !died.swap(true, Ordering::Relaxed) {
            panic!("as planned");
        }
        clock()
    });
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    for n in 0..3 {
        assert_eq!(site.append(partition, "x"), n);
    }
    site.until(|site| {
        site.since_boot.fetch_add(1000, Ordering::Relaxed);
        site.is_compacted(partition)
    });
    assert_eq!(site.records(partition).len(), 3);
}

/// As after an upgrade from a version that wrote but one.
#[test]
fn a_snapshot_of_which_there_is_but_one_is_written_again() {
    let mut site = Site::new(1);
    site.compact_after(1);
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    site.append(partition, "a");
    site.until(|site| site.is_compacted(partition));
    site.backend().stop();
    let copies = |store: &Store, shard| {
        let claim = registers::Claim::read(store, shard).unwrap();
        claim.manifest.snapshots.len()
    };
    let store = site.store();
    assert_eq!(copies(&store, 0), 2);
    let mut claim = registers::Claim::read(&store, 0).unwrap();
    let forget = claim.change(&store, 1 << 20, |fields| fields.snapshots.truncate(1));
    forget.unwrap();
    drop((claim, store));
    site.kill();
    site.backend().stop();
    assert_eq!(copies(&site.store(), 0), 2);
}

/// Readers pass over it, what else is there goes into a segment, and the journal can go.
#[test]
fn what_the_disk_cannot_give_keeps_nothing_else_waiting() {
    let (site, partition) = Site::compacting(1, 1000, |_| {});
    for n in 0..4 {
        site.append(partition, &n.to_string());
    }
    // Slot 0 declares the streams, and the first page is the file's header.
    site.disk.plan(FaultPlan {
        unreadable: Some(("journal/", 3 * 4096, 4 * 4096)),
        ..FaultPlan::default()
    });
    assert_eq!(values(&site.records(partition)), ["0", "2", "3"]);
    site.since_boot.store(1 << 40, Ordering::Relaxed);
    site.until(|site| site.is_compacted(partition));
    assert_eq!(values(&site.records(partition)), ["0", "2", "3"]);
    site.disk.plan(FaultPlan {
        unreadable: Some(("/g/", 0, u64::MAX)),
        ..FaultPlan::default()
    });
    site.append(partition, "4");
    assert_eq!(values(&site.records(partition)), ["4"]);
}

/// A merge leaves out a segment of which nothing can be read; the others become one.
#[test]
fn a_segment_of_which_nothing_is_left_is_merged_away() {
    let (site, partition) = Site::merging(1, 1);
    let shard = site.shard(partition);
    let segments = |site: &Site| -> Vec<String> {
        let files = site.segments().into_iter();
        files.filter(|file| file.contains(&shard)).collect()
    };
    for (count, value) in (1..).zip(["a", "b", "c"]) {
        site.append(partition, value);
        site.until(|site| site.is_compacted(partition) && segments(site).len() == count);
    }
    let all = segments(&site);
    let len = site.disk.contents(&all[1]).unwrap().len();
    site.disk.replace(&all[1], vec![0; len]);
    site.append(partition, "d");
    site.until(|site| site.is_compacted(partition) && segments(site).len() == 1);
    assert_eq!(values(&site.records(partition)), ["a", "c", "d"]);
    assert_eq!(site.options.metrics.damaged_batches.value(), 1);
}
