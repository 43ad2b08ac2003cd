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
