//! What is old, or too much, or of a stream that is gone, leaves; what stays is read as before.

use super::*;

impl Site {
    /// With one stream that keeps so much.
    fn keeping(ms: Option<i64>, bytes: Option<u64>) -> Self {
        let mut site = Self::new(1);
        site.compact_after(2);
        site.options.recent_bytes = 0;
        site.options.delete_grace_ms = 100;
        site.options.streams[0].retention_ms = ms;
        site.options.streams[0].retention_bytes = bytes;
        site.start().unwrap();
        site
    }

    /// Two batches, which become a segment.
    fn append_two(&self, partition: PartitionId) {
        let end = self.backend().bounds(partition).end;
        for n in end..end + 2 {
            let batch = batch(Producer::NONE, &[&format!("value {n}")]);
            wait(self.backend().append(partition, batch)).unwrap();
        }
        self.until(|site| site.is_compacted(partition));
    }

    /// Small partitions of a shard share its segments, which are made of twelve batches.
    fn sharing() -> Self {
        let mut site = Self::new(1);
        site.compact_after(12);
        site.options.thresholds.own_bytes = 1 << 20;
        site.options.thresholds.journal_bytes = 1 << 30;
        site.options.recent_bytes = 0;
        site.options.delete_grace_ms = 100;
        site.start().unwrap();
        site
    }

    /// Ten large batches that stay for a second, in this shard.
    fn append_brief(&self, shard: u32) -> PartitionId {
        let spec = StreamSpec {
            partitions: catalog::SHARDS,
            retention_ms: Some(1000),
            ..StreamSpec::new("brief")
        };
        let stream = wait(self.backend().create_stream(spec)).unwrap();
        let is_there = |number: &u32| catalog::shard(&stream.id, *number, catalog::SHARDS) == shard;
        let number = (0..catalog::SHARDS).find(is_there).unwrap();
        let partition = stream.partitions[number as usize];
        for _ in 0..10 {
            self.append(partition, &"x".repeat(10_000));
        }
        partition
    }

    /// Bytes of all segments of a shard.
    fn bytes_in(&self, shard: u32) -> usize {
        let mut files = self.segments();
        files.retain(|file| file.contains(&format!("/{shard:05x}/g/")));
        let bytes = |file: &String| self.disk.contents(file).map_or(0, |bytes| bytes.len());
        files.iter().map(bytes).sum()
    }

    /// Lets time go by until a shard has fewer bytes than this in segments.
    fn until_fewer(&self, shard: u32, bytes: usize) {
        self.now.store(5_000, Ordering::Relaxed);
        self.until(|site| {
            site.since_boot.fetch_add(1, Ordering::Relaxed);
            site.bytes_in(shard) < bytes
        });
    }

    fn start_of(&self, partition: PartitionId) -> i64 {
        self.backend().bounds(partition).start
    }
}

#[test]
fn by_time_of_arrival() {
    let mut site = Site::keeping(Some(1000), None);
    let partition = Site::apart(&site.events())[0];
    site.append_two(partition);
    site.now.store(1_500, Ordering::Relaxed);
    site.append_two(partition);
    let files = site.segments();
    site.now.store(2_001, Ordering::Relaxed);
    site.until(|site| site.start_of(partition) == 2);
    let below = site.backend().read(partition, 1, 1);
    assert!(matches!(below, Err(ReadError::OffsetOutOfRange)));
    assert_eq!(
        site.backend().read(partition, 2, 0).unwrap()[0].base_offset,
        2
    );
    let gone = |site: &Site| files.iter().any(|file| !site.segments().contains(file));
    assert!(!gone(&site), "somebody may still read it");
    site.since_boot.store(100, Ordering::Relaxed);
    site.until(gone);
    site.restart();
    assert_eq!(site.start_of(partition), 2);
    let appended = wait(
        site.backend()
            .append(partition, batch(Producer::NONE, &["x"])),
    );
    let appended = appended.unwrap();
    assert_eq!((appended.base_offset, appended.log_start), (4, 2));
    wait(
        site.backend()
            .append(partition, batch(Producer::NONE, &["y"])),
    )
    .unwrap();
    site.now.store(100_000, Ordering::Relaxed);
    site.append_two(partition);
    site.until(|site| site.start_of(partition) == 6);
    site.lose_power();
    assert_eq!(site.start_of(partition), 6);
}

#[test]
fn by_bytes() {
    let site = Site::keeping(None, Some(200));
    let partition = Site::apart(&site.events())[0];
    for _ in 0..10 {
        site.append_two(partition);
    }
    site.until(|site| site.start_of(partition) > 10);
    let bounds = site.backend().bounds(partition);
    assert!(bounds.bytes >= 200, "what was asked for stays: {bounds:?}");
    assert!(bounds.bytes < 500, "{bounds:?}");
}

#[test]
fn what_the_broker_writes_for_itself_keeps_no_bytes_on_the_disk() {
    let mut site = Site::sharing();
    let partition = site.append_brief(0);
    site.until(|site| site.is_compacted(partition));
    assert!(site.bytes_in(0) > 100_000);
    site.until_fewer(0, 1);
    assert_eq!(site.start_of(partition), 10);
    for _ in 0..2 {
        site.lose_power();
        assert!(site.backend().catalog().by_name("brief").is_some());
        assert_eq!(site.start_of(partition), 10);
    }
}

#[test]
fn what_lives_on_in_a_segment_does_not_keep_the_rest() {
    let mut site = Site::sharing();
    let events = site.events();
    let kept = Site::apart(&events)[0];
    let number = events.partitions.iter().position(|id| *id == kept).unwrap();
    let shard = catalog::shard(&events.id, number.try_into().unwrap(), catalog::SHARDS);
    site.append(kept, "value 0");
    let partition = site.append_brief(shard);
    site.append(kept, "value 1");
    site.until(|site| site.is_compacted(partition) && site.is_compacted(kept));
    assert!(site.bytes_in(shard) > 100_000);
    site.until_fewer(shard, 2_000);
    for _ in 0..2 {
        assert_eq!(values(&site.records(kept)), ["value 0", "value 1"]);
        site.lose_power();
    }
}

#[test]
fn a_deleted_streams_bytes_leave_the_disk() {
    let mut site = Site::keeping(None, None);
    let spec = StreamSpec {
        partitions: 3,
        ..StreamSpec::new("other")
    };
    let other = wait(site.backend().create_stream(spec)).unwrap();
    let kept = Site::apart(&site.events())[0];
    site.append_two(kept);
    for partition in &Site::apart(&other)[..2] {
        site.append_two(*partition);
    }
    let holds = |site: &Site| {
        let found = |file: &String| {
            let bytes = site.disk.contents(file).unwrap_or_default();
            bytes.windows(16).any(|window| window == other.id)
        };
        site.segments().iter().filter(|file| found(file)).count()
    };
    assert!(holds(&site) > 0);
    wait(site.backend().delete_stream(other.id)).unwrap();
    site.restart();
    site.since_boot.store(1_000, Ordering::Relaxed);
    site.until(|site| {
        site.since_boot.fetch_add(1, Ordering::Relaxed);
        holds(site) == 0
    });
    assert_eq!(values(&site.records(kept)), ["value 0", "value 1"]);
}

#[test]
fn a_clock_that_jumped_and_was_set_back_keeps_nothing_for_ever() {
    const HOUR: i64 = 3_600_000;
    let mut site = Site::keeping(Some(HOUR), None);
    let [idle, busy] = [0, 1].map(|at| Site::apart(&site.events())[at]);
    let set = |site: &Site, hours: i64| site.now.store(hours * HOUR, Ordering::Relaxed);
    set(&site, 1000);
    site.append_two(idle);
    site.append_two(busy);
    set(&site, 0);
    for _ in 0..2 {
        site.until(|site| site.backend().not_ready().is_empty());
        site.append_two(busy);
        site.restart();
    }
    let pass = |site: &Site, ms: i64| {
        site.now.fetch_add(ms, Ordering::Relaxed);
        site.since_boot.fetch_add(ms, Ordering::Relaxed);
    };
    pass(&site, HOUR - 1);
    site.append_two(busy);
    assert_eq!(site.start_of(busy), 0);
    // Of what is idle it is only known that it had come when this life looked first.
    site.until(|site| site.backend().shared.clock.suspicion().is_none());
    pass(&site, 2);
    site.until(|site| site.start_of(busy) == 6);
    assert_eq!(site.start_of(idle), 0);
    pass(&site, 2 * HOUR);
    site.until(|site| site.start_of(idle) == 2);
}

#[test]
fn the_first_look_after_a_boot_trusts_no_clock_blindly() {
    const HOUR: i64 = 3_600_000;
    let mut site = Site::keeping(Some(HOUR), None);
    let partition = Site::apart(&site.events())[0];
    site.append_two(partition);
    site.backend = None;
    site.options.boot = "another".to_owned();
    // It must not see the clock jump.
    site.backend = None;
    site.now.store(50 * HOUR, Ordering::Relaxed);
    site.lose_power();
    let doubt = site.backend().clock().1.expect("it may have been off");
    assert_eq!(doubt.doubt, Doubt::Away);
    assert!(
        site.backend().not_ready().is_empty(),
        "as after every night"
    );
    site.append_two(partition);
    assert_eq!(site.start_of(partition), 0);
    wait(site.backend().accept_clock()).unwrap();
    site.until(|site| site.start_of(partition) == 2);
    site.restart();
    assert_eq!(site.backend().clock().1, None);
}

#[test]
fn a_clock_that_jumps_deletes_nothing_until_it_is_accepted() {
    const HOUR: i64 = 3_600_000;
    let mut site = Site::keeping(Some(HOUR), Some(1 << 30));
    let partition = Site::apart(&site.events())[0];
    site.append_two(partition);
    site.now.store(1000 * HOUR, Ordering::Relaxed);
    site.until(|site| site.backend().not_ready() == ["clock"]);
    let (_, suspicion) = site.backend().clock();
    assert!(suspicion.unwrap().jumped_ms > 900 * HOUR);
    site.append_two(partition);
    assert_eq!(site.start_of(partition), 0);
    site.restart();
    assert_eq!(
        site.backend().not_ready(),
        ["clock"],
        "a start does not forget"
    );
    site.append_two(partition);
    assert_eq!(site.start_of(partition), 0);
    wait(site.backend().accept_clock()).unwrap();
    assert!(site.backend().not_ready().is_empty());
    site.until(|site| site.start_of(partition) == 2);
    site.lose_power();
    assert!(site.backend().not_ready().is_empty());
    // Nobody accepts it, and a day goes by.
    site.append_two(partition);
    site.since_boot.fetch_add(HOUR, Ordering::Relaxed);
    site.now.store(3000 * HOUR, Ordering::Relaxed);
    site.until(|site| site.backend().not_ready() == ["clock"]);
    site.since_boot.fetch_add(24 * HOUR, Ordering::Relaxed);
    site.until(|site| site.backend().not_ready().is_empty());
    site.until(|site| site.start_of(partition) == 8);
}
