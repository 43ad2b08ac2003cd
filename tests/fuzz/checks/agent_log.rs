//! The agent's log: frames of the tail journal, what is in them, names of segments.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent::fuzz::{LOG_ID, Tail, lane_dir_name, sections, segment_name};
use headwater_agent::log::Disk;
use headwater_wire::crc::crc32c;

use super::Check;
use super::memory_disk::{MemoryDisk, Write};

/// The first byte says how the others are read: as frames to be written and damaged, as the file
/// itself, or as what is in a frame.
pub const AGENT_LOG: Check = Check {
    name: "agent_log",
    run,
    memory_fixed: 24 << 20,
    memory_per_byte: 4096,
};

const DIR: &str = "/log";
const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 64;

fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, rest)) => written(rest),
        Some((1, rest)) => found(rest),
        Some((_, rest)) => inside(rest),
        None => {}
    }
}

/// Sections are written as they were read; names have one spelling.
fn inside(bytes: &[u8]) {
    let first = sections(bytes);
    assert_eq!(sections(&first.concat()), first);
    if let Ok(name) = std::str::from_utf8(bytes) {
        if let Some(written) = segment_name(name) {
            assert_eq!(segment_name(&written).as_ref(), Some(&written));
        }
        assert!(lane_dir_name(name).is_none_or(|written| written == name));
    }
}

/// A frame that was committed, and where it lies.
struct Frame {
    body: Vec<u8>,
    place: Write,
    is_checkpoint: bool,
}

/// What was committed since the last checkpoint comes back, save the frames that are damaged.
fn written(bytes: &[u8]) {
    let disk = MemoryDisk::default();
    let (mut tail, _, _) = open(&disk).expect("an empty journal");
    let mut steps = bytes.chunks(4);
    let mut frames: Vec<Frame> = Vec::new();
    for step in steps.by_ref().take_while(|step| step[0] < 0xf0).take(40) {
        let is_checkpoint = frames.is_empty() || step[0] >= 0xe0;
        let len = usize::from(*step.get(1).unwrap_or(&0)) * (1 + usize::from(step[0] & 0x3f));
        let body = vec![step[0]; len];
        let done = if is_checkpoint {
            tail.checkpoint(&body)
        } else {
            tail.commit(&body)
        };
        done.expect("the disk does not fail");
        let place = disk.last_write();
        frames.push(Frame {
            body,
            place,
            is_checkpoint,
        });
    }
    let file = disk.last_write().path;
    let before = disk.content(&file);
    steps.take(4).for_each(|step| damage(&disk, &file, step));
    let after = disk.content(&file);
    let checkpoint = frames.iter().rposition(|frame| frame.is_checkpoint);
    let live = &frames[checkpoint.unwrap_or_default()..];
    let is_intact = |frame: &&Frame| {
        let start = usize::try_from(frame.place.at).expect("within the file");
        let place = start..start + HEADER_BYTES + frame.body.len();
        before.get(place.clone()) == after.get(place)
    };
    let expected: Vec<&[u8]> = live.iter().filter(is_intact).map(|f| &f.body[..]).collect();
    let (tail, found, is_damaged) = open(&disk).expect("frames of this version");
    let first = found.len().saturating_sub(expected.len());
    assert!(
        found[first..] == expected[..],
        "an intact frame is not found"
    );
    assert!(before != after || (first == 0 && !is_damaged));
    goes_on(&disk, tail);
}

/// Changes a byte of a page.
fn damage(disk: &MemoryDisk, file: &Path, step: &[u8]) {
    if let &[page, high, low, change] = step {
        let within = usize::from(u16::from_be_bytes([high, low])) % PAGE_BYTES;
        disk.change(file, usize::from(page) * PAGE_BYTES + within, change);
    }
}

/// Any frames with right checksums are opened or refused; whatever they were, the log goes on.
fn found(bytes: &[u8]) {
    let mut file = Vec::new();
    let mut bodies: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    while let Some((header, tail)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let len = usize::from(header[36]) * 16;
        let body = &tail[..len.min(tail.len())];
        file.extend_from_slice(&sealed(header, body));
        file.extend_from_slice(body);
        file.resize(file.len().next_multiple_of(PAGE_BYTES), 0);
        bodies.push(body);
        rest = &tail[body.len()..];
    }
    let disk = MemoryDisk::default();
    disk.put(&Path::new(DIR).join("tail-0"), &file);
    if let Some((tail, found, _)) = open(&disk) {
        assert!(found.iter().all(|body| bodies.contains(&&body[..])));
        goes_on(&disk, tail);
    }
}

/// The header with this log's name, the body's length and right checksums.
fn sealed(header: &[u8; HEADER_BYTES], body: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = *header;
    header[..4].copy_from_slice(b"HWJ1");
    header[8..24].copy_from_slice(&LOG_ID);
    let len = u32::try_from(body.len()).expect("short");
    header[36..40].copy_from_slice(&len.to_le_bytes());
    header[40..44].copy_from_slice(&crc32c(body).to_le_bytes());
    let checksum = crc32c(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn goes_on(disk: &MemoryDisk, mut tail: Tail) {
    if tail.checkpoint(b"all").is_err() {
        return;
    }
    tail.commit(b"more").expect("after a checkpoint");
    let (_, frames, _) = open(disk).expect("own frames");
    assert_eq!(frames, [&b"all"[..], b"more"]);
}

fn open(disk: &MemoryDisk) -> Option<(Tail, Vec<Bytes>, bool)> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Tail::open(&disk, Path::new(DIR))
}
