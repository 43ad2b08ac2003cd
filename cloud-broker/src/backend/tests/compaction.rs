//! The journal becomes segments: readers find the same records, journal and memory are given up,
//! and wherever the power fails, nothing is lost and nothing is left over.

mod failing;
mod pieces;

use std::collections::BTreeSet;

use headwater_store::{Scanned, Store};

use super::*;

impl Site {
    /// A partition that has its shard to itself, which is compacted after so many batches; readers
    /// find nothing in memory.
    fn compacting(seed: u64, batches: u64, set: impl FnOnce(&mut Options)) -> (Self, PartitionId) {
        let mut site = Self::new(seed);
        site.compact_after(batches);
        site.options.recent_bytes = 0;
        set(&mut site.options);
        site.start().unwrap();
        let partition = Self::apart(&site.events())[0];
        (site, partition)
    }

    /// The same, and segments are merged early and deleted at once.
    fn merging(seed: u64, batches: u64) -> (Self, PartitionId) {
        Self::compacting(seed, batches, |options| {
            options.thresholds.merge_count = 4;
            options.delete_grace_ms = 0;
        })
    }

    /// With this timestamp.
    fn append_at(&self, partition: PartitionId, time: i64, value: &str) -> i64 {
        let mut builder = BatchBuilder::new();
        builder
            .push(time, Some(b"k"), Some(value.as_bytes()), [])
            .unwrap();
        let mut bytes = Vec::new();
        builder.finish_into(Producer::NONE, &mut bytes);
        let appended = wait(self.backend().append(partition, bytes.into()));
        appended.unwrap().base_offset
    }

    /// Whether all that a partition has lies in segments.
    pub(super) fn is_compacted(&self, partition: PartitionId) -> bool {
        let table = self.backend().shared.table.load();
        table[partition.index()].before(u32::MAX, 0).is_empty()
    }

    /// How the names of a shard's objects begin.
    fn shard(&self, partition: PartitionId) -> String {
        let (id, number) = self.backend().catalog().owner(partition).unwrap();
        let shard = catalog::shard(&id, number, catalog::SHARDS);
        format!("s/{shard:05x}/")
    }

    /// The store, while nobody works on it.
    fn store(&mut self) -> Store {
        self.backend = None;
        self.disk.kill();
        local::open_on(self.disk.shared(), memory::options()).unwrap()
    }
}

#[test]
fn records_are_read_from_segments_as_before() {
    let mut site = Site::new(1);
    site.compact_after(5);
    site.options.recent_bytes = 0;
    site.start().unwrap();
    let partition = Site::apart(&site.events())[3];
    let expected: Vec<_> = (0..20).map(|n| format!("value {n}")).collect();
    for (n, value) in (0..).zip(&expected) {
        assert_eq!(site.append(partition, value), n);
    }
    site.until(|site| site.is_compacted(partition));
    assert!(!site.segments().is_empty());
    for round in 0..3 {
        assert_eq!(values(&site.records(partition)), expected);
        let bounds = site.backend().bounds(partition);
        assert_eq!((bounds.start, bounds.end), (0, 20));
        let read = site.backend().read(partition, 7, 1 << 20).unwrap();
        assert_eq!(read[0].base_offset, 7);
        assert_eq!(read[0].arrival_ms, 1000);
        let past = site.backend().read(partition, 21, 1);
        assert!(matches!(past, Err(ReadError::OffsetOutOfRange)), "{past:?}");
        if round == 0 {
            site.restart()
        } else {
            site.lose_power()
        }
    }
    assert_eq!(site.append(partition, "next"), 20);
}

#[test]
fn times_and_epochs_are_found_across_segments_and_journal() {
    let (mut site, partition) = Site::compacting(1, 2, |_| {});
    // Late data: the greatest timestamp lies in a segment.
    for (n, time) in [(0, 10), (1, 50), (2, 20), (3, 30)] {
        assert_eq!(site.append_at(partition, time, "x"), n);
    }
    site.until(|site| site.is_compacted(partition));
    let epoch = site.backend().bounds(partition).epoch;
    site.options.thresholds.batches = 100;
    site.restart();
    for (n, time) in [(4, 40), (5, 45)] {
        assert_eq!(site.append_at(partition, time, "x"), n);
    }
    let at = |time| site.backend().offset_for_time(partition, time).unwrap();
    assert_eq!(at(0), Some((0, 10)));
    assert_eq!(at(11), Some((1, 50)));
    assert_eq!(at(50), Some((1, 50)));
    assert_eq!(at(51), None);
    let latest = site.backend().latest_by_time(partition).unwrap();
    assert_eq!(latest, Some((1, 50)));
    let ended = site.backend().end_of_epoch(partition, epoch).unwrap();
    assert_eq!(ended, Some((epoch, 4)));
    site.lose_power();
    let ended = site.backend().end_of_epoch(partition, epoch + 1).unwrap();
    assert_eq!(ended, Some((epoch + 1, 6)));
    let ended = site.backend().end_of_epoch(partition, epoch).unwrap();
    assert_eq!(ended, Some((epoch, 4)), "known by the snapshot");
}

#[test]
fn the_journal_is_given_up() {
    let mut site = Site::new(1);
    site.compact_after(10);
    site.options.thresholds.journal_bytes = 50_000;
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    let large = "x".repeat(2000);
    for _ in 0..600 {
        site.append(partition, &large);
    }
    let journal = |site: &Site| {
        let mut files = site.disk.files();
        files.retain(|file| file.starts_with("journal/") && !file.contains("spare"));
        files.len()
    };
    // Each chunk takes a page at least, a file 256 KiB.
    site.until(|site| journal(site) <= 2);
    site.restart();
    assert_eq!(site.records(partition).len(), 600);
    site.until(|site| site.is_compacted(partition));
    for _ in 0..3 {
        site.restart();
    }
    assert_eq!(site.records(partition).len(), 600);
}

#[test]
fn an_age_makes_segments_of_little() {
    let site = Site::open(1);
    let partition = Site::apart(&site.events())[0];
    site.append(partition, "a");
    let age = site.options.thresholds.small_age_ms;
    site.since_boot.store(age - 1, Ordering::Relaxed);
    site.append(Site::apart(&site.events())[1], "b");
    assert!(!site.is_compacted(partition));
    site.since_boot.store(age, Ordering::Relaxed);
    site.until(|site| site.is_compacted(partition));
    assert_eq!(values(&site.records(partition)), ["a"]);
}

#[test]
fn a_thread_does_the_same() {
    let mut site = Site::new(1);
    site.compact_after(3);
    site.options.compaction_thread = true;
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    for n in 0..30 {
        assert_eq!(site.append(partition, "x"), n);
    }
    site.until(|site| !site.segments().is_empty());
    site.restart();
    assert_eq!(site.records(partition).len(), 30);
}

#[test]
fn damage_in_a_segment_costs_what_is_damaged() {
    let (mut site, partition) = Site::compacting(1, 3, |_| {});
    for n in 0..3 {
        site.append(partition, &format!("value {n}"));
    }
    site.until(|site| site.is_compacted(partition));
    let stored = site.backend().read(partition, 1, 0).unwrap();
    let file = site.segments().into_iter().find(|file| {
        let bytes = site.disk.contents(file).unwrap();
        bytes.windows(7).any(|window| window == b"value 1")
    });
    let file = file.expect("it lies in a segment");
    let bytes = site.disk.contents(&file).unwrap();
    let batch = &stored[0].bytes;
    let mut places = bytes.windows(batch.len());
    let at = places.position(|window| window == batch).unwrap();
    site.disk.flip_bit(&file, 8 * (at + batch.len()) as u64 - 1);
    site.kill();
    assert_eq!(values(&site.records(partition)), ["value 0", "value 2"]);
    let next = site.backend().read(partition, 1, 0).unwrap();
    assert_eq!(next[0].base_offset, 2);
    assert_eq!(site.options.metrics.damaged_batches.value(), 1);
    site.append(partition, "value 3");
    assert_eq!(site.backend().bounds(partition).end, 4);
}

#[test]
fn a_segment_that_is_missing_is_passed_over() {
    let (mut site, partition) = Site::compacting(1, 3, |_| {});
    for n in 0..3 {
        site.append(partition, &format!("value {n}"));
    }
    site.until(|site| site.is_compacted(partition));
    let files = site.segments();
    let store = site.store();
    for file in &files {
        store
            .blobs
            .delete(file.strip_prefix("blobs/").unwrap())
            .unwrap();
    }
    drop(store);
    site.kill();
    assert!(site.records(partition).is_empty());
    assert_eq!(site.backend().offset_for_time(partition, 0).unwrap(), None);
    assert_eq!(site.append(partition, "value 3"), 3);
    assert_eq!(values(&site.records(partition)), ["value 3"]);
}

#[test]
fn one_of_two_snapshots_is_enough_and_none_stops_the_start() {
    let mut site = Site::new(1);
    site.compact_after(1);
    site.start().unwrap();
    let partition = Site::apart(&site.events())[0];
    site.append(partition, "a");
    let catalog = site.backend().catalog();
    let streams = catalog.by_name("__catalog").unwrap().partitions[0];
    site.until(|site| site.is_compacted(partition) && site.is_compacted(streams));
    site.backend().stop();
    let copies: Vec<_> = { site.disk.files().into_iter() }
        .filter(|file| file.contains("/00000/x/"))
        .collect();
    assert_eq!(copies.len(), 2, "of the catalog");
    site.disk.flip_bit(&copies[0], 300);
    site.kill();
    assert_eq!(values(&site.records(partition)), ["a"]);
    // From one copy a start goes on; without any it says so, and touches nothing.
    site.backend = None;
    site.disk.kill();
    for file in site.disk.files() {
        if file.contains("/00000/x/") {
            site.disk.flip_bit(&file, 301);
        }
    }
    let files: BTreeSet<_> = site.segments().into_iter().collect();
    let error = site.start().unwrap_err();
    assert!(error.to_string().contains("shard 0 is lost"), "{error}");
    assert_eq!(files, site.segments().into_iter().collect());
}

#[test]
fn small_segments_become_one() {
    let mut site = Site::new(1);
    site.compact_after(1);
    site.options.recent_bytes = 0;
    site.options.thresholds.merge_count = 4;
    site.options.delete_grace_ms = 0;
    site.start().unwrap();
    let events = site.events();
    let expected: Vec<_> = (0..20).map(|n| format!("value {n}")).collect();
    for value in &expected {
        for partition in &Site::apart(&events)[..3] {
            site.append(*partition, value);
        }
    }
    let partitions = Site::apart(&events)[..3].to_vec();
    site.until(|site| {
        partitions
            .iter()
            .all(|partition| site.is_compacted(*partition))
    });
    // One of each shard at least, and fewer than four that have no neighbour.
    site.until(|site| {
        let of_events = site.segments().len();
        of_events <= 16 * 4
    });
    for round in 0..2 {
        for partition in &partitions {
            assert_eq!(values(&site.records(*partition)), expected, "{round}");
        }
        site.lose_power();
    }
}

#[test]
fn a_manifest_stays_small_and_its_pages_can_be_damaged_once() {
    let (mut site, partition) = Site::compacting(1, 1, |options| {
        options.thresholds.page_bytes = 500;
        options.thresholds.merge_count = 1000;
    });
    let expected: Vec<_> = (0..60).map(|n| format!("value {n}")).collect();
    for value in &expected {
        site.append(partition, value);
        site.until(|site| site.is_compacted(partition));
    }
    let store = site.store();
    let mut pages = Vec::new();
    for shard in 0..catalog::SHARDS {
        let name = headwater_store::names::manifest(shard);
        let found = store.registers.read(&name).unwrap().unwrap();
        assert!(found.value.len() < 4000, "{}", found.value.len());
        let manifest = headwater_store::format::manifest::decode(&found.value).unwrap();
        pages.extend(manifest.known.pages);
    }
    assert!(pages.len() > 5, "{}", pages.len());
    drop(store);
    for page in &pages {
        site.disk.flip_bit(&format!("blobs/{}", page.name), 300);
    }
    site.kill();
    assert_eq!(values(&site.records(partition)), expected);
    site.backend = None;
    site.disk.kill();
    site.disk.flip_bit(&format!("blobs/{}", pages[0].copy), 300);
    let files = site.segments().len();
    let error = site.start().unwrap_err();
    assert!(error.to_string().contains("/p/"), "{error}");
    assert_eq!(site.segments().len(), files, "nothing is touched");
}

/// At every change of the disk the power fails once: nothing is lost, nothing is doubled, and
/// after the next start there is no object that no manifest names, and no journal that no shard
/// needs.
#[test]
fn wherever_the_power_fails_nothing_is_lost_and_nothing_is_left_over() {
    fail_everywhere(4, Thresholds::default());
}

/// The same where a cut takes a part of what there is.
#[test]
fn wherever_the_power_fails_a_cut_in_pieces_is_whole() {
    let limits = Thresholds {
        cut_bytes: 150,
        ..Thresholds::default()
    };
    fail_everywhere(4, limits);
}

/// The same where nearly all segments are listed in pages.
#[test]
fn wherever_the_power_fails_pages_are_whole() {
    let limits = Thresholds {
        page_bytes: 100,
        ..Thresholds::default()
    };
    fail_everywhere(1, limits);
}

fn fail_everywhere(compact_after: u64, limits: Thresholds) {
    let mut change = 1;
    loop {
        let mut site = Site::new(change);
        site.compact_after(compact_after);
        site.options.thresholds.page_bytes = limits.page_bytes;
        site.options.thresholds.cut_bytes = limits.cut_bytes;
        site.options.delete_grace_ms = 0;
        site.start().unwrap();
        let partitions = [
            Site::apart(&site.events())[0],
            Site::apart(&site.events())[5],
        ];
        let mut acknowledged = [0, 0];
        site.power_off_at(change);
        for n in 0..14 {
            let batch = batch(Producer::NONE, &[&format!("value {}", n / 2)]);
            match wait(site.backend().append(partitions[n % 2], batch)) {
                Ok(_) => acknowledged[n % 2] += 1,
                Err(_) => break,
            }
        }
        let failed = !site.disk.is_powered();
        site.fall(1 + change % 50);
        for (partition, acknowledged) in partitions.into_iter().zip(acknowledged) {
            let found = site.records(partition);
            let expected: Vec<_> = (0..found.len()).map(|n| format!("value {n}")).collect();
            assert_eq!(values(&found), expected, "{change}");
            assert!(found.len() >= acknowledged, "{change}");
        }
        // The second is answered when what the first has made due is done.
        for _ in 0..2 {
            site.append(partitions[0], "last");
        }
        site.backend().stop();
        check_nothing_is_left_over(&mut site);
        if !failed {
            assert!(change > 60, "{change}");
            return;
        }
        change += 1;
    }
}

fn check_nothing_is_left_over(site: &mut Site) {
    let store = site.store();
    let mut named = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    let mut needed = BTreeSet::new();
    for shard in 0..16 {
        let claim = registers::Claim::read(&store, shard).unwrap();
        let manifest = &claim.manifest;
        named.extend(manifest.segments.iter().map(|kept| kept.name.clone()));
        named.extend(manifest.snapshots.iter().map(|kept| kept.name.clone()));
        // What waits for its deletion may be gone already.
        deleted.extend(manifest.pending_delete.iter().cloned());
        let pages = manifest.pages.iter();
        named.extend(pages.flat_map(|page| [page.name.clone(), page.copy.clone()]));
        needed.extend(manifest.sources.iter().map(|source| source.inc()));
    }
    let found: BTreeSet<_> = store.blobs.list("").unwrap().into_iter().collect();
    // What its last life was writing when it was dropped is swept by the next.
    let extra = found
        .difference(&named)
        .filter(|name| !deleted.contains(*name));
    let extra: Vec<_> = extra.collect();
    assert!(extra.is_empty(), "{extra:?}");
    let missing: Vec<_> = named.difference(&found).collect();
    assert!(missing.is_empty(), "what is named is there: {missing:?}");
    for inc in store.slots.incarnations().unwrap() {
        let mut chunks = 0;
        let count = &mut |scanned: Scanned| {
            chunks += u32::from(matches!(scanned, Scanned::Chunk { .. }));
            Ok(())
        };
        store.slots.scan(inc, 0, count).unwrap();
        assert!(chunks == 0 || needed.contains(&inc), "{inc:?}: {chunks}");
    }
}
