//! Against a model that keeps everything.

use std::collections::BTreeMap;

use headwater_wire::batch::{BatchBuilder, Producer, check_crc, patch_base_offset, payload};
use proptest::prelude::*;

use super::*;

/// Key and value by number; none is null.
type Fields = (Option<u8>, Option<u8>);

#[derive(Clone, Debug)]
struct Made {
    records: Vec<Fields>,
    producer: i64,
}

/// A batch as it is stored.
type Stored = Vec<u8>;

/// Offset, key, value, timestamp.
type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>, i64);

fn made() -> impl Strategy<Value = Made> {
    let field = |of: u8| prop_oneof![4 => (0..of).prop_map(Some), 1 => Just(None)];
    let records = prop::collection::vec((field(5), field(200)), 1..5);
    (records, -1_i64..3).prop_map(|(records, producer)| Made { records, producer })
}

fn store(log: &[Made]) -> Vec<Stored> {
    let mut offset = 0;
    let mut stored = Vec::new();
    for made in log {
        let mut builder = BatchBuilder::new();
        for (at, (key, value)) in made.records.iter().enumerate() {
            let [key, value] =
                [key, value].map(|field| field.map(|byte| vec![byte; usize::from(byte) % 7]));
            let time = 1_000 - i64::try_from(at).unwrap();
            builder
                .push(time, key.as_deref(), value.as_deref(), [])
                .unwrap();
        }
        let mut bytes = Vec::new();
        let producer = match made.producer {
            -1 => Producer::NONE,
            id => Producer {
                id,
                epoch: 0,
                base_sequence: 7,
            },
        };
        builder.finish_into(producer, &mut bytes);
        patch_base_offset(&mut bytes, offset);
        offset += i64::try_from(made.records.len()).unwrap();
        stored.push(bytes);
    }
    stored
}

fn rows(log: &[Stored]) -> Vec<Row> {
    let mut rows = Vec::new();
    for stored in log {
        let header = Header::parse_exact(stored).unwrap();
        check_crc(stored, &header).unwrap();
        let mut found = records(&header, payload(&header, stored));
        for record in found.by_ref().map(Result::unwrap) {
            let offset = header.base_offset + i64::from(record.offset_delta);
            let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            rows.push((
                offset,
                owned(record.key),
                owned(record.value),
                record.timestamp,
            ));
        }
        assert_eq!(found.trailing_bytes(), 0);
    }
    rows
}

/// A compaction as a compactor makes it, after one that came to `clean_to`.
fn compact(
    log: &[Stored],
    clean_to: i64,
    bytes_max: usize,
    tombstones_to: i64,
) -> (Vec<Stored>, Newest) {
    let mut newest = Newest::new(bytes_max);
    let parsed = |stored: &Stored| Header::parse_exact(stored).unwrap();
    for stored in log {
        let header = parsed(stored);
        if header.base_offset < clean_to {
            newest.note_clean(&header);
        } else if !newest.note(&header, payload(&header, stored)).unwrap() {
            break;
        }
    }
    let mut left = Vec::new();
    for stored in log {
        let header = parsed(stored);
        match decide(&header, payload(&header, stored), &newest, tombstones_to).unwrap() {
            Fate::Whole => left.push(stored.clone()),
            Fate::Gone => {}
            Fate::Changed(changed) => {
                let bytes = changed.seal(Codec::None, &changed.records);
                let kept = Header::parse_exact(&bytes).unwrap();
                assert_eq!(
                    (kept.base_offset, kept.last_offset()),
                    (header.base_offset, header.last_offset())
                );
                assert_eq!(kept.producer(), header.producer());
                left.push(bytes);
            }
        }
    }
    (left, newest)
}

fn end(log: &[Stored]) -> i64 {
    let last = log
        .last()
        .map(|stored| Header::parse_exact(stored).unwrap());
    last.map_or(0, |last| last.last_offset() + 1)
}

/// What a reader who keeps the newest of each key ends with.
fn table(rows: &[Row]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for (_, key, value, _) in rows {
        match (key, value) {
            (Some(key), Some(value)) => drop(table.insert(key.clone(), value.clone())),
            (Some(key), None) => drop(table.remove(key)),
            (None, _) => {}
        }
    }
    table
}

fn survivors(rows: &[Row], tombstones_to: i64) -> Vec<Row> {
    let survives = |row: &&Row| {
        let newer = |other: &Row| other.1 == row.1 && other.0 > row.0;
        let stays = row.2.is_some() || row.0 >= tombstones_to;
        row.1.is_some() && stays && !rows.iter().any(newer)
    };
    rows.iter().filter(survives).cloned().collect()
}

proptest! {
    #[test]
    fn the_newest_of_each_key_survives(
        log in prop::collection::vec(made(), 1..30),
        tombstones_to in 0_i64..60,
    ) {
        let before = store(&log);
        let (left, newest) = compact(&before, 0, usize::MAX, tombstones_to);
        prop_assert_eq!(rows(&left), survivors(&rows(&before), tombstones_to));
        prop_assert_eq!(newest.covered_to(), end(&before));
        prop_assert_eq!(end(&left), end(&before), "it ends where it ended");
        let again = compact(&left, newest.covered_to(), usize::MAX, tombstones_to).0;
        prop_assert_eq!(again, left, "and that is all");
    }

    #[test]
    fn a_producers_last_batch_keeps_its_header(
        log in prop::collection::vec(made(), 1..30),
        more in prop::collection::vec(made(), 1..30),
    ) {
        let all: Vec<Made> = log.iter().chain(&more).cloned().collect();
        let all = store(&all);
        let (before, more) = all.split_at(log.len());
        let last = |log: &[Stored]| {
            let headers = log.iter().map(|stored| Header::parse_exact(stored).unwrap());
            let numbered = headers.filter(|header| header.producer_id >= 0);
            numbered.map(|header| (header.producer_id, header.last_offset())).collect::<BTreeMap<_, _>>()
        };
        let (mut left, newest) = compact(before, 0, usize::MAX, 0);
        prop_assert_eq!(last(&left), last(before));
        left.extend_from_slice(more);
        let (left, _) = compact(&left, newest.covered_to(), usize::MAX, 0);
        prop_assert_eq!(last(&left), last(&all));
        let mut empty: Vec<_> = { left.iter() }
            .map(|stored| Header::parse_exact(stored).unwrap())
            .filter(|header| header.record_count == 0 && header.last_offset() + 1 < end(&all))
            .map(|header| header.producer_id)
            .collect();
        let count = empty.len();
        empty.dedup();
        prop_assert!(empty.iter().all(|id| *id >= 0) && count == empty.len());
    }

    /// With whatever memory the log ends the same, after more passes; and memory stays bounded.
    #[test]
    fn a_small_memory_only_takes_more_passes(
        log in prop::collection::vec(made(), 1..30),
        bytes_max in 0_usize..600,
    ) {
        let before = store(&log);
        let mut left = before.clone();
        let mut clean_to = 0;
        for _ in 0..before.len() {
            let (next, newest) = compact(&left, clean_to, bytes_max, 0);
            // One batch of at most four keys beyond the bound.
            prop_assert!(newest.bytes() <= bytes_max + 4 * (64 + 7) + 48);
            prop_assert_eq!(table(&rows(&next)), table(&rows(&before)));
            prop_assert_eq!(newest.is_full(), newest.covered_to() < end(&before));
            (left, clean_to) = (next, newest.covered_to());
        }
        prop_assert_eq!(clean_to, end(&before));
        prop_assert_eq!(rows(&left), survivors(&rows(&before), 0));
    }
}
