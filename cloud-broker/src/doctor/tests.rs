//! A data directory with everything in it, and one thing of it damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_broker_core::{Entry, PartitionId, StreamId, StreamSpec};
use headwater_store::format::manifest;
use headwater_store::local::{self, LocalOptions};
use headwater_store::segment::SegmentWriter;
use headwater_store::{Incarnation, Outcome, Store, names};
use headwater_wire::batch::{
    BatchBuilder, Header, Producer, patch_base_offset, patch_leader_epoch,
};

use super::*;
use crate::backend::{Backend, Options};

/// What is looked for in a journal file.
const MARK: &str = "the fifth reading";

struct Site {
    dir: tempfile::TempDir,
    segment: String,
}

impl Site {
    /// Ten batches of a record each in partition 0 of `events` in the journal, three of two
    /// records each in partition 1 in a segment.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = StreamSpec {
            partitions: 2,
            ..StreamSpec::new("events")
        };
        let options = Options::on_any_disk(dir.path(), vec![events]);
        let backend = Backend::open(options).unwrap();
        let stream = Arc::clone(backend.catalog().by_name("events").unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for n in 0..10 {
            let value = if n == 5 { MARK } else { "another reading" };
            let partition: PartitionId = stream.partitions[0];
            runtime
                .block_on(backend.append(partition, batch(&[value]).into()))
                .unwrap();
        }
        // As in a crash: in order, everything would be moved into segments.
        drop(backend);
        let store = local::open(dir.path(), LocalOptions::default()).unwrap();
        let segment = add_segment(&store, stream.id);
        Self { dir, segment }
    }

    fn check(&self) -> Report {
        let before = tree(self.dir.path());
        let report = check(self.dir.path()).unwrap();
        assert!(tree(self.dir.path()) == before, "nothing is changed");
        report
    }

    /// Turns bits of a byte round, so many bytes behind where these lie.
    fn flip(&self, path: &Path, behind: usize, found: &[u8]) {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes
            .windows(found.len())
            .position(|window| window == found)
            .unwrap();
        bytes[at + behind] ^= 0x55;
        fs::write(path, bytes).unwrap();
    }

    /// The journal file with the mark in it.
    fn journal(&self) -> PathBuf {
        let files = tree(self.dir.path());
        let marked = |bytes: &Vec<u8>| {
            bytes
                .windows(MARK.len())
                .any(|window| window == MARK.as_bytes())
        };
        let mut found = files
            .into_iter()
            .filter(|(path, bytes)| path.ends_with(".log") && marked(bytes));
        self.dir.path().join(found.next().unwrap().0)
    }

    fn blob(&self) -> PathBuf {
        self.dir.path().join("blobs").join(&self.segment)
    }
}

fn batch(values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder
            .push(1000, Some(b"k"), Some(value.as_bytes()), [])
            .unwrap();
    }
    let mut bytes = Vec::new();
    builder.finish_into(Producer::NONE, &mut bytes);
    bytes
}

/// A segment that the manifest of shard 0 names.
fn add_segment(store: &Store, topic: StreamId) -> String {
    let name = names::segment(0, 1, Incarnation([7; 16]), 1);
    let mut writer = SegmentWriter::create(&*store.blobs, &name, 0, 1).unwrap();
    for base_offset in [0, 2, 4] {
        let mut bytes = batch(&["one of two", "two of two"]);
        patch_base_offset(&mut bytes, base_offset);
        patch_leader_epoch(&mut bytes, 1);
        let mut entry = Entry {
            shard: 0,
            epoch: 1,
            topic,
            partition: 1,
            base_offset,
            count: 2,
            pos: 0,
            len: u32::try_from(bytes.len()).unwrap(),
            max_timestamp: 0,
            arrival_ms: 1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            attributes: 0,
            batch_crc: 0,
            topics: Vec::new(),
        };
        entry.describe(&Header::parse_exact(&bytes).unwrap());
        writer.push(&entry, &bytes).unwrap();
    }
    let written = writer.finish().unwrap();
    let register = names::manifest(0);
    let found = store.registers.read(&register).unwrap().unwrap();
    let mut changed = manifest::decode(&found.value).unwrap();
    let run = manifest::Run {
        topic: topic.to_vec(),
        partition: 1,
        from: 0,
        to: 6,
        ..manifest::Run::default()
    };
    let segment = manifest::Segment {
        name: name.clone(),
        bytes: written.bytes,
        runs: vec![run.into()],
        ..manifest::Segment::default()
    };
    changed.segments.push(segment.into());
    changed.rev += 1;
    let bytes = manifest::encode(&changed).unwrap();
    let outcome = store
        .registers
        .cas(&register, &found.version, &bytes)
        .unwrap();
    assert_eq!(outcome, Outcome::Mine);
    name
}

/// All files below a directory.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

/// The only damage.
fn only(report: Report) -> Damage {
    let [damage] = <[Damage; 1]>::try_from(report.damage).unwrap();
    damage
}

fn is_of(damage: &Damage, partition: u32, from: i64, to: i64) {
    assert_eq!(damage.stream.as_deref(), Some("events"), "{damage}");
    let found = (damage.partition, damage.from, damage.to);
    assert_eq!(found, (Some(partition), Some(from), Some(to)), "{damage}");
}

#[test]
fn a_whole_directory_is_clean() {
    let site = Site::new();
    let report = site.check();
    assert!(report.is_clean(), "{:?}", report.damage);
    assert_eq!((report.segments, report.journals), (1, 1));
    assert!(report.registers > 16 && report.chunks > 10);
    assert!(report.batches >= 14 && report.records >= 17 && report.bytes > 1000);
}

#[test]
fn a_damaged_batch_is_named() {
    let site = Site::new();
    let journal = site.journal();
    site.flip(&journal, 0, MARK.as_bytes());
    let damage = only(site.check());
    is_of(&damage, 0, 5, 6);
    assert_eq!(Path::new(&damage.object), journal);
    let bytes = fs::read(journal).unwrap();
    let at = usize::try_from(damage.position.unwrap()).unwrap();
    assert_eq!(Header::parse(&bytes[at..]).unwrap().base_offset, 5);
}

#[test]
fn a_damaged_frame_is_named_and_so_is_what_is_missing() {
    let site = Site::new();
    let mark = fs::read(site.journal()).unwrap();
    let at = mark
        .windows(MARK.len())
        .position(|window| window == MARK.as_bytes())
        .unwrap();
    let frame = at / 4096 * 4096;
    site.flip(&site.journal(), 0, &mark[frame..frame + 96]);
    let report = site.check();
    let [frame, missing] = &report.damage[..] else {
        panic!("{:?}", report.damage)
    };
    assert!(
        frame.position.is_some() && frame.what.contains("slots"),
        "{frame}"
    );
    is_of(missing, 0, 5, 6);
}

#[test]
fn a_damaged_segment_is_named() {
    let site = Site::new();
    site.flip(&site.blob(), 200, b"HWSB");
    let damage = only(site.check());
    assert_eq!(
        (damage.object, damage.position),
        (site.segment.clone(), Some(24))
    );
    fs::remove_file(site.blob()).unwrap();
    let report = site.check();
    assert!(
        report
            .damage
            .iter()
            .all(|damage| damage.object == site.segment)
    );
    is_of(report.damage.last().unwrap(), 1, 0, 6);
}

#[test]
fn without_its_registers_the_journals_are_read() {
    let site = Site::new();
    fs::write(site.dir.path().join(REGISTERS), [0xff; 8192]).unwrap();
    site.flip(&site.journal(), 0, MARK.as_bytes());
    let report = site.check();
    let [registers, batch] = &report.damage[..] else {
        panic!("{:?}", report.damage)
    };
    assert_eq!(registers.object, REGISTERS);
    is_of(batch, 0, 5, 6);
}

#[test]
fn a_directory_in_use_or_without_a_log_is_refused() {
    let site = Site::new();
    let store = local::open(site.dir.path(), LocalOptions::default()).unwrap();
    let kind = check(site.dir.path()).unwrap_err().kind;
    assert_eq!(
        kind,
        ErrorKind::InUse {
            pid: std::process::id()
        }
    );
    drop(store);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(check(empty.path()).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(
        check(&empty.path().join("x")).unwrap_err().kind,
        ErrorKind::NotFound
    );
}
