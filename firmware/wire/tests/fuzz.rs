//! The fuzz target's function over golden batches that are damaged in thousands of ways, the same
//! ones in each run.

mod entry;

use std::fs;

use headwater_wire::batch::{ATTRIBUTES, CRC, Header};
use headwater_wire::crc::crc32c;

const DAMAGED_EACH: usize = 1500;

#[test]
fn golden_batches_pass_and_damaged_ones_do_no_harm() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut passed = 0;
    for batch in golden() {
        entry::run(&batch);
        for _ in 0..DAMAGED_EACH {
            let mut damaged = batch.clone();
            for _ in 0..=random.below(4) {
                damage(&mut damaged, &mut random);
            }
            entry::run(&damaged);
            // With a right CRC the damage gets further in.
            repair_crc(&mut damaged);
            passed += usize::from(entry::run(&damaged));
        }
    }
    assert!(
        passed > 0,
        "damage to a value alone passes, if the CRC is right"
    );
}

#[test]
fn batches_without_damage_pass() {
    for name in [
        "librdkafka-none",
        "kafka-python-zstd",
        "librdkafka-idempotent",
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1");
        let batch = fs::read(format!("{folder}/{name}.batch")).expect("in the repository");
        assert!(entry::run(&batch), "{name}");
    }
}

#[test]
fn short_texts_do_no_harm() {
    const ALPHABET: &[u8] = b"$hw/1batcresumepistu+#0-9\xff\0\x80";
    let mut random = Random(7);
    for _ in 0..20_000 {
        let prefix: &[u8] = [&b"$hw/1/batch/"[..], b"$hw/1/", b""][random.below(3)];
        let len = random.below(20);
        let tail = (0..len).map(|_| ALPHABET[random.below(ALPHABET.len())]);
        let text: Vec<u8> = prefix.iter().copied().chain(tail).collect();
        entry::run(&text);
    }
}

fn golden() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder is in the repository")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "batch")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.next().to_le_bytes()[0]),
        4 => drop(bytes.remove(at)),
        _ => {
            let end = (at + random.below(16)).min(bytes.len());
            bytes.extend_from_within(at..end);
        }
    }
}

fn repair_crc(bytes: &mut [u8]) {
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    let crc = crc32c(&bytes[ATTRIBUTES..header.total_bytes()]);
    bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}
