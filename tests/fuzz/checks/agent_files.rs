//! What else an agent reads back from its disk: sealed segments, where a followed file stands.

use std::ops::Range;
use std::panic::{set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use headwater_agent::fuzz::{file_cursor, read_segment, write_segment};
use headwater_agent::log::Disk;
use headwater_wire::batch::BatchBuilder;
use headwater_wire::uplink::{Position, producer_id};

use super::Check;
use super::memory_disk::MemoryDisk;

/// The first byte says what the others are: changes to a sound segment, a segment itself, or a
/// cursor.
pub const AGENT_FILES: Check = Check {
    name: "agent_files",
    run,
    memory_fixed: 16 << 20,
    memory_per_byte: 64,
};

const DIR: &str = "/log";
const BATCHES: u64 = 6;

fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, changes)) => changed(changes),
        Some((1, file)) => {
            let (path, sound) = segment();
            assert!(read(path, file).iter().all(|batch| sound.1.contains(batch)));
        }
        Some((_, cursor)) => {
            if let Some(written) = file_cursor(cursor) {
                assert_eq!(file_cursor(&written), Some(written.clone()));
            }
        }
        None => {}
    }
}

/// Of a damaged segment, what is handed out is what was put in, each batch at most once; where
/// nothing but batches is damaged, the others are all there.
fn changed(changes: &[u8]) {
    let (path, (file, batches)) = segment();
    let mut damaged = file.clone();
    for change in changes.chunks_exact(4) {
        let at = u32::from_be_bytes([0, change[0], change[1], change[2]]);
        damaged[usize::try_from(at).unwrap_or(0) % file.len()] ^= change[3];
    }
    let found = read(path, &damaged);
    assert!(found.iter().all(|batch| batches.contains(batch)));
    assert!(found.is_sorted_by(|a, b| a.0 < b.0));
    let (mut rest, mut intact) = (damaged.clone(), Vec::new());
    for (place, batch) in places(file, batches).zip(batches) {
        if damaged[place.clone()] == batch.1 {
            intact.push(batch.clone());
        }
        rest[place.clone()].copy_from_slice(&file[place]);
    }
    assert!(rest != *file || found == intact, "a sound batch is read");
}

/// Where in the file each batch lies.
fn places(file: &[u8], batches: &[Batch]) -> impl Iterator<Item = Range<usize>> {
    batches.iter().map(|batch| {
        let found = file.windows(batch.1.len()).position(|at| at == batch.1);
        let start = found.expect("a small batch lies in one page");
        start..start + batch.1.len()
    })
}

type Batch = (u64, Vec<u8>);
type Segment = (Vec<u8>, Vec<Batch>);

/// A segment as the agent writes it: its path, its bytes, and what is in it.
fn segment() -> (&'static Path, &'static Segment) {
    static SEGMENT: OnceLock<(PathBuf, Segment)> = OnceLock::new();
    let (path, segment) = SEGMENT.get_or_init(|| {
        let batches: Vec<Batch> = (0..BATCHES).map(batch).collect();
        let disk = MemoryDisk::default();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let path =
            write_segment(&shared, Path::new(DIR), &batches).expect("the disk does not fail");
        let file = disk.content(&path);
        (path, (file, batches))
    });
    (path, segment)
}

/// Ten records, the first at ten times `number`.
fn batch(number: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for record in 0..10 {
        let value = [u8::try_from(number).unwrap_or(0); 50];
        builder
            .push(record, Some(b"gw-1/a"), Some(&value), [])
            .expect("a short record");
    }
    let first = Position(number * 10);
    let id = producer_id("gw-1", "events", "main", 0);
    let mut bytes = Vec::new();
    builder.finish_into(first.producer(id).expect("a small position"), &mut bytes);
    (first.0, bytes)
}

/// Reads a segment as the agent does. redb panics over some files; the agent takes that for damage,
/// and so it is none here: libFuzzer must not hear of it.
fn read(path: &Path, file: &[u8]) -> Vec<Batch> {
    let disk = MemoryDisk::default();
    disk.put(path, file);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let found = read_segment(&disk, Path::new(DIR));
    set_hook(hook);
    found
}
