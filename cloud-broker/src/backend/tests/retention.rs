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
        self.until(|site| {
            let table = site.backend().shared.table.load();
            table[partition.index()].before(u32::MAX, 0).is_empty()
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
