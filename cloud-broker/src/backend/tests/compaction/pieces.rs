//! Journals that are too large for one cut, and disks that have no room for two of them.

use super::*;

/// Journals of an earlier version, which made no segments.
fn with_large_journals(lives: usize) -> (Site, Vec<PartitionId>) {
    let mut site = Site::new(1);
    site.compact_after(1_000_000);
    site.options.thresholds.journal_bytes = u64::MAX;
    site.options.recent_bytes = 0;
    site.start().unwrap();
    let partitions = Site::apart(&site.events())[..3].to_vec();
    let large = "x".repeat(10_000);
    for _ in 0..lives {
        for _ in 0..60 {
            for partition in &partitions {
                site.append(*partition, &large);
            }
        }
        site.kill();
    }
    site.options.thresholds.batches = 1;
    site.options.thresholds.cut_bytes = 100_000;
    site.options.thresholds.merge_count = 1000;
    (site, partitions)
}

fn bytes_of(site: &Site, part: &str) -> usize {
    let files = site.disk.files().into_iter();
    let files = files.filter(|file| file.starts_with(part) && !file.contains("spare"));
    files
        .map(|file| site.disk.contents(&file).map_or(0, |bytes| bytes.len()))
        .sum()
}

#[test]
fn large_journals_become_segments_piece_by_piece() {
    let (mut site, partitions) = with_large_journals(4);
    let all = bytes_of(&site, "journal/");
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (disk, seen) = (site.disk.clone(), Arc::clone(&most));
    // It is asked before every cut.
    site.options.space = Arc::new(move || {
        let files = disk
            .files()
            .into_iter()
            .filter(|file| !file.contains("spare"));
        let bytes = files
            .map(|file| disk.contents(&file).map_or(0, |bytes| bytes.len()))
            .sum();
        seen.fetch_max(bytes, Ordering::Relaxed);
        Some((1 << 30, 1 << 30))
    });
    site.kill();
    site.until(|site| {
        partitions
            .iter()
            .all(|partition| site.is_compacted(*partition))
    });
    for _ in 0..2 {
        for partition in &partitions {
            assert_eq!(site.records(*partition).len(), 4 * 60);
        }
        site.lose_power();
    }
    let most = most.load(Ordering::Relaxed);
    assert!(most < all + all / 3, "{most} of {all}");
}

#[test]
fn a_full_disk_stops_cuts_that_it_has_no_room_for_and_no_others() {
    let (mut site, partitions) = with_large_journals(1);
    let free = Arc::new(std::sync::atomic::AtomicU64::new(10_000));
    let told = Arc::clone(&free);
    site.options.space = Arc::new(move || Some((told.load(Ordering::Relaxed), 1 << 30)));
    site.kill();
    site.until(|site| site.backend().not_ready() == ["disk-full"]);
    for _ in 0..100 {
        site.backend().shared.gate.ring();
        std::thread::yield_now();
    }
    assert_eq!(site.segments().len(), 0);
    free.store(300_000, Ordering::Relaxed);
    site.until(|site| {
        partitions
            .iter()
            .all(|partition| site.is_compacted(*partition))
    });
    assert_eq!(site.backend().not_ready(), ["disk-full"]);
    assert_eq!(site.records(partitions[0]).len(), 60);
}
