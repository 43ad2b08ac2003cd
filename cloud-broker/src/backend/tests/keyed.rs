//! Keyed compaction: the newest of each key stays, at its offset; readers go on across what is
//! gone, and wherever the power fails, nothing is missing and nothing comes back.

use std::collections::BTreeMap;

use headwater_broker_core::catalog::{Cleanup, PartitionBy};

use super::*;

/// Offset, key, value; none is a tombstone.
type Row = (i64, String, Option<String>);

/// A partition of a compacted stream, and all that was written to it.
struct Table {
    site: Site,
    /// What was acknowledged.
    rows: Vec<Row>,
    /// What was not answered.
    open: Vec<(String, Option<String>)>,
}

impl Table {
    fn new(seed: u64, batches: u64, memory_bytes: usize) -> Self {
        let mut site = Site::new(seed);
        site.compact_after(batches);
        site.options.recent_bytes = 0;
        site.options.compaction_memory_bytes = memory_bytes;
        site.options.streams.push(StreamSpec {
            cleanup: Cleanup::Compact,
            partition_by: PartitionBy::Topic,
            partitions: 2,
            // Which a compacted stream does not obey.
            retention_ms: Some(1),
            ..StreamSpec::new("table")
        });
        site.start().unwrap();
        Self {
            site,
            rows: Vec::new(),
            open: Vec::new(),
        }
    }

    fn partition(&self) -> PartitionId {
        let catalog = self.site.backend().catalog();
        let stream = Arc::clone(catalog.by_name("table").expect("it is configured"));
        Site::apart(&stream)[0]
    }

    /// Appends a batch; false once the log takes nothing any more.
    fn put(&mut self, producer: Producer, fields: &[(&str, Option<&str>)]) -> bool {
        let owned =
            |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(ToOwned::to_owned));
        self.open = fields.iter().map(owned).collect();
        let mut builder = BatchBuilder::new();
        for (at, (key, value)) in fields.iter().enumerate() {
            let value = value.map(str::as_bytes);
            builder
                .push(1000 + at as i64, Some(key.as_bytes()), value, [])
                .unwrap();
        }
        let mut bytes = Vec::new();
        builder.finish_into(producer, &mut bytes);
        match wait(self.site.backend().append(self.partition(), bytes.into())) {
            Ok(appended) => {
                for (offset, (key, value)) in (appended.base_offset..).zip(self.open.drain(..)) {
                    self.rows.push((offset, key, value));
                }
                true
            }
            Err(AppendError::Unavailable(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn read(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut offset = self.site.backend().bounds(self.partition()).start;
        loop {
            let batches = self.site.backend().read(self.partition(), offset, 1000);
            let batches = batches.unwrap();
            let Some(last) = batches.last() else {
                return rows;
            };
            offset = last.last_offset + 1;
            for stored in &batches {
                self.decode(stored, &mut rows);
            }
        }
    }

    fn decode(&self, stored: &StoredBatch, rows: &mut Vec<Row>) {
        let header = Header::parse_exact(&stored.bytes).unwrap();
        batch::check_crc(&stored.bytes, &header).unwrap();
        let mut validator = Validator::default();
        let records = validator.records(&header, &stored.bytes).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for record in batch::records(&header, records).map(Result::unwrap) {
            let offset = stored.base_offset + i64::from(record.offset_delta);
            let key = text(record.key.unwrap());
            rows.push((offset, key, record.value.map(text)));
        }
    }

    /// What was read is part of what was written, in order, and has the newest of each key.
    fn check(&mut self) {
        let read = self.read();
        let known = self.rows.last().map_or(0, |last| last.0 + 1);
        if read.last().is_some_and(|last| last.0 >= known) {
            // The open batch is in the log, whole.
            let open = std::mem::take(&mut self.open);
            for (offset, (key, value)) in (known..).zip(open) {
                self.rows.push((offset, key, value));
            }
        }
        assert!(read.is_sorted_by_key(|row| row.0));
        for row in &read {
            let at = self.rows.binary_search_by_key(&row.0, |row| row.0);
            assert_eq!(Some(row), at.ok().map(|at| &self.rows[at]), "as it was");
        }
        assert_eq!(table(&read), table(&self.rows));
    }
}

impl Site {
    /// Lets the journal's thread come by.
    fn turn(&self) {
        for _ in 0..20 {
            self.backend().shared.gate.ring();
            std::thread::yield_now();
        }
    }
}

/// What a reader who keeps the newest of each key ends with.
fn table(rows: &[Row]) -> BTreeMap<&str, &str> {
    let mut table = BTreeMap::new();
    for (_, key, value) in rows {
        match value {
            Some(value) => drop(table.insert(key.as_str(), value.as_str())),
            None => drop(table.remove(key.as_str())),
        }
    }
    table
}

fn numbered(base_sequence: i32) -> Producer {
    Producer {
        id: 7,
        epoch: 0,
        base_sequence,
    }
}

#[test]
fn the_newest_of_each_key_stays_at_its_offset() {
    let mut table = Table::new(1, 4, 1 << 20);
    for n in 0..20 {
        let value = format!("value {n}");
        let key = format!("key {}", n % 3);
        assert!(table.put(
            numbered(2 * n),
            &[(&key, Some("old")), (&key, Some(&value))]
        ));
    }
    table.site.until(|_| table.read().len() <= 5);
    table.check();
    for round in 0..3 {
        let read = table.read();
        assert!(read.iter().all(|row| row.0 % 2 == 1), "{read:?}");
        let backend = table.site.backend();
        let bounds = backend.bounds(table.partition());
        assert_eq!((bounds.start, bounds.end), (0, 40));
        // Where nothing is left, the next that is there.
        for offset in 0..40 {
            let found = backend.read(table.partition(), offset, 1).unwrap();
            assert!(found[0].last_offset >= offset);
            assert!(found[0].last_offset >= 33);
        }
        let first = backend.offset_for_time(table.partition(), 0).unwrap();
        assert_eq!(first, Some((read[0].0, 1001)));
        let latest = backend.latest_by_time(table.partition()).unwrap();
        assert_eq!(latest, Some((read[0].0, 1001)));
        match round {
            0 => table.site.restart(),
            _ => table.site.lose_power(),
        }
        table.check();
    }
    // The producer's numbers are known as before.
    let again = table.put(
        numbered(38),
        &[("key 1", Some("old")), ("key 1", Some("value 19"))],
    );
    assert!(again);
    table.rows.truncate(40);
    assert!(table.put(numbered(40), &[("key 1", Some("next"))]));
    assert_eq!(table.rows.last().unwrap().0, 40);
}

#[test]
fn a_deleted_key_is_told_for_its_time() {
    let mut table = Table::new(1, 1, 1 << 20);
    table.site.options.tombstones_ms = 1000;
    table.site.restart();
    assert!(table.put(Producer::NONE, &[("a", Some("1"))]));
    assert!(table.put(Producer::NONE, &[("a", None), ("b", Some("1"))]));
    let large = "x".repeat(300);
    let mut n = 0;
    let mut more = |table: &mut Table| {
        n += 1;
        let key = format!("more {n}");
        assert!(table.put(Producer::NONE, &[(&key, Some(&large))]));
    };
    more(&mut table);
    table
        .site
        .until(|_| !table.read().contains(&(0, "a".into(), Some("1".into()))));
    assert!(
        table.read().contains(&(1, "a".into(), None)),
        "its time has begun"
    );
    table.site.now.fetch_add(999, Ordering::Relaxed);
    (0..4).for_each(|_| more(&mut table));
    table.site.lose_power();
    table.site.turn();
    assert!(table.read().contains(&(1, "a".into(), None)));
    table.site.now.fetch_add(1, Ordering::Relaxed);
    (0..12).for_each(|_| more(&mut table));
    table
        .site
        .until(|_| !table.read().contains(&(1, "a".into(), None)));
    table.check();
}

#[test]
fn little_memory_takes_more_passes() {
    let mut table = Table::new(1, 5, 300);
    // Memory does not tell more than the disk.
    table.site.options.recent_bytes = 1 << 20;
    table.site.restart();
    for n in 0..60 {
        let key = format!("key {}", n % 20);
        let value = format!("value {n}");
        assert!(table.put(Producer::NONE, &[(&key, Some(&value))]));
    }
    // Twenty that are the newest, not more than that again which do not pay yet, and the journal's.
    table.site.until(|_| table.read().len() <= 44);
    table.check();
    table.site.lose_power();
    table.check();
}

/// Deleted keys, little memory, and segments shared with a partition that keeps everything.
#[test]
fn wherever_the_power_fails_the_newest_are_there() {
    let mut gone = 0;
    for seed in 1..=60 {
        let mut chance = Chance::new(seed);
        let memory = if seed % 3 == 0 { 200 } else { 1 << 20 };
        let mut table = Table::new(seed, 1 + seed % 4, memory);
        table.site.options.tombstones_ms = 50;
        table.site.restart();
        let beside = Site::apart(&table.site.events())[0];
        let mut kept = 0;
        for _ in 0..6 {
            table.site.power_off_at(1 + chance.below(400));
            for _ in 0..40 {
                table
                    .site
                    .now
                    .fetch_add(chance.below(40).cast_signed(), Ordering::Relaxed);
                if chance.below(4) == 0 {
                    let value = batch(Producer::NONE, &["kept"]);
                    let appended = wait(table.site.backend().append(beside, value));
                    if appended.is_err() {
                        break;
                    }
                    kept += 1;
                }
                let fields: Vec<_> = (0..1 + chance.below(3))
                    .map(|_| {
                        let value = format!("value {}", chance.below(1000));
                        let key = format!("key {}", chance.below(5));
                        (key, (chance.below(5) > 0).then_some(value))
                    })
                    .collect();
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_deref()))
                    .collect();
                if !table.put(Producer::NONE, &fields) {
                    break;
                }
            }
            table.site.fall(1 + chance.below(80));
            table.check();
            assert!(table.site.records(beside).len() >= kept);
        }
        gone += table.rows.len() - table.read().len();
    }
    assert!(gone > 1500, "{gone}");
}
