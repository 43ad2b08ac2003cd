//! Chunks and batches that cannot be read any more: what is lost is lost once, and nothing else.

use super::*;

const PAGE_BYTES: u64 = 4096;
/// A byte of a frame's index.
const INDEX: u64 = 110;

impl Site {
    /// Turns a bit of the index in a slot round. Frames here are smaller than a page, and the
    /// first page is the file's header.
    fn damage_index(&self, slot: u64) {
        self.disk
            .flip_bit(&self.journal(), 8 * ((1 + slot) * PAGE_BYTES + INDEX));
    }

    /// Turns the last bit of a stored batch round.
    fn damage_batch(&self, batch: &[u8]) {
        let file = self.journal();
        let bytes = self.disk.contents(&file).unwrap();
        let at = bytes
            .windows(batch.len())
            .position(|window| window == batch)
            .unwrap();
        self.disk.flip_bit(&file, 8 * (at + batch.len()) as u64 - 1);
    }

    fn journal(&self) -> String {
        let mut files = self.disk.files().into_iter();
        let journal = |file: &String| file.starts_with("journal/") && !file.contains("spare");
        files.find(journal).expect("there is a journal")
    }
}

/// Slot 0 declares the streams; then a batch each in partitions 0, 1, 0, 1.
fn four_batches() -> (Site, [PartitionId; 2]) {
    let site = Site::open(1);
    let partitions = [site.events().partitions[0], site.events().partitions[1]];
    for n in 0..4 {
        site.append(partitions[n % 2], &n.to_string());
    }
    (site, partitions)
}

#[test]
fn a_chunk_in_the_middle_leaves_a_gap() {
    let (mut site, [first, second]) = four_batches();
    site.damage_index(1);
    site.kill();
    assert_eq!(site.records(first), [(1, "k".to_owned(), "2".to_owned())]);
    assert_eq!(values(&site.records(second)), ["1", "3"]);
    assert_eq!([site.append(first, "4"), site.append(second, "4")], [2, 2]);
}

#[test]
fn offsets_that_may_have_been_given_are_never_given_again() {
    let (mut site, [first, second]) = four_batches();
    site.damage_index(3);
    for _ in 0..3 {
        site.kill();
        assert_eq!(values(&site.records(first)), ["0"]);
        assert_eq!(values(&site.records(second)), ["1", "3"]);
        assert_eq!(site.backend().bounds(second).end, 2);
        assert_eq!(site.backend().bounds(first).end, 1 + (1 << 32));
    }
    let next = 1 + (1 << 32);
    assert_eq!(site.append(first, "4"), next);
    for _ in 0..2 {
        site.restart();
        assert_eq!(values(&site.records(first)), ["0", "4"]);
        assert_eq!(site.backend().bounds(first).end, next + 1);
    }
    assert_eq!(site.append(first, "5"), next + 1);
}

#[test]
fn a_stream_whose_declaration_is_damaged_keeps_its_records() {
    let mut site = Site::new(1);
    site.compact_after(6);
    site.options.delete_grace_ms = 0;
    site.options.recent_bytes = 0;
    site.start().unwrap();
    let spec = StreamSpec {
        retention_ms: Some(1),
        ..StreamSpec::new("short")
    };
    // Slot 1.
    let stream = wait(site.backend().create_stream(spec)).unwrap();
    let [moved, new] = [0, 1].map(|at| Site::apart(&stream)[at]);
    let expected: Vec<_> = (0..6).map(|n| n.to_string()).collect();
    for value in &expected {
        site.append(moved, value);
    }
    site.until(|site| site.is_compacted(moved));
    site.append(new, "in the journal");
    site.damage_index(1);
    site.kill();
    let name = format!(
        "recovered-{}",
        headwater_broker_core::uuid::format(&stream.id)
    );
    for round in 0..4 {
        let catalog = site.backend().catalog();
        assert!(catalog.by_name("short").is_none());
        let found = Arc::clone(catalog.by_name(&name).expect("it has data"));
        assert_eq!((found.id, found.spec.retention_ms), (stream.id, None));
        let numbers = [moved, new].map(|id| catalog_number(&stream, id));
        let [moved, new] = numbers.map(|number| found.partitions[number]);
        assert_eq!(values(&site.records(moved)), expected, "{round}");
        assert_eq!(values(&site.records(new)), ["in the journal"], "{round}");
        // Long enough to look what may go.
        site.since_boot.fetch_add(600_000, Ordering::Relaxed);
        site.until(|site| site.is_compacted(new));
        match round {
            0 => site.kill(),
            1 => site.restart(),
            _ => site.lose_power(),
        }
    }
    wait(site.backend().delete_stream(stream.id)).unwrap();
    site.restart();
    assert!(site.backend().catalog().by_id(&stream.id).is_none());
    assert!(site.backend().catalog().by_name(&name).is_none());
}

fn catalog_number(stream: &Stream, id: PartitionId) -> usize {
    let mut numbers = stream.partitions.iter();
    numbers.position(|other| *other == id).unwrap()
}

#[test]
fn a_batch_that_is_damaged_is_not_given_out() {
    let (mut site, [first, second]) = four_batches();
    let stored = site.backend().read(first, 0, 0).unwrap();
    site.damage_batch(&stored[0].bytes);
    site.kill();
    let read = site.backend().read(first, 0, 0).unwrap();
    assert_eq!(read[0].base_offset, 1, "reading goes on behind it");
    assert_eq!(values(&site.records(first)), ["2"]);
    let lost = &site.options.metrics.damaged_batches;
    assert_eq!(lost.value(), 1, "counted once, however often it is read");
    assert_eq!(values(&site.records(second)), ["1", "3"]);
}
