//! What the broker keeps: chunks, tombstones, journal files, manifests, snapshots, registers.

use std::fmt::Debug;

use headwater_broker_core::Entry;
use headwater_store::format::FormatError;
use headwater_store::format::chunk::{self, HEADER_BYTES, Header};
use headwater_store::format::cluster::Cluster;
use headwater_store::format::head::Head;
use headwater_store::format::journal_file::FileHeader;
use headwater_store::format::manifest;
use headwater_store::format::member::Member;
use headwater_store::format::producer_ids::ProducerIds;
use headwater_store::format::snapshot;
use headwater_wire::batch::Compressor;
use headwater_wire::crc::crc32c;

use super::Check;

/// Bytes as each format, as they are and with checksums that are right: what is read is the same
/// after it was written and read again.
pub const STORE: Check = Check {
    name: "store",
    run,
    memory_fixed: 8 << 20,
    memory_per_byte: 512,
};

fn run(bytes: &[u8]) {
    frame(bytes);
    frame(&sealed_frame(bytes));
    again(bytes, FileHeader::decode, |header| Ok(header.encode()));
    again(&sealed_head(bytes, 64), FileHeader::decode, |header| {
        Ok(header.encode())
    });
    again(bytes, Cluster::decode, |register| Ok(register.encode()));
    again(bytes, Head::decode, |register| Ok(register.encode()));
    again(bytes, Member::decode, |register| Ok(register.encode()));
    again(bytes, ProducerIds::decode, |register| Ok(register.encode()));
    again(bytes, manifest::decode, manifest::encode);
    again(bytes, snapshot::decode, snapshot::encode);
    let enveloped = |magic, kind| envelope(magic, kind, bytes);
    again(
        &enveloped(manifest::MAGIC, 3),
        manifest::decode,
        manifest::encode,
    );
    again(
        &enveloped(snapshot::MAGIC, 4),
        snapshot::decode,
        snapshot::encode,
    );
}

/// What was read, written and read again.
fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, FormatError>,
    encode: impl Fn(&T) -> Result<Vec<u8>, FormatError>,
) {
    match decode(bytes) {
        Ok(value) => {
            let written = encode(&value).expect("it came from such bytes");
            assert_eq!(decode(&written), Ok(value));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A chunk or a tombstone.
fn frame(bytes: &[u8]) {
    let Ok(header) = Header::decode(bytes) else {
        return;
    };
    let [payload_pos, end] = [header.payload_pos(), header.frame_bytes()]
        .map(|at| usize::try_from(at).expect("frames are bounded"));
    let Some(index) = bytes.get(HEADER_BYTES..payload_pos) else {
        return;
    };
    if let (true, Ok(tombstone)) = (header.tombstone, header.decode_tombstone(index)) {
        let written = chunk::encode_tombstone(&header.link, &tombstone);
        let read = Header::decode(&written).expect("own output");
        let again = read.decode_tombstone(&written[HEADER_BYTES..]);
        assert_eq!((read.link, again), (header.link, Ok(cut(tombstone))));
    }
    let Some(payload) = bytes.get(payload_pos..end) else {
        return;
    };
    let checked = header.check_payload(payload);
    let (Ok(()), Ok(entries)) = (checked, header.decode_index(index)) else {
        return;
    };
    let mut written = Vec::new();
    let read = chunk::encode_into(&header.link, &entries, &[payload], &mut written)
        .expect("its entries were checked");
    assert_eq!(Header::decode(&written), Ok(read));
    assert_eq!(read.link, header.link);
    let again = read.decode_index(&written[HEADER_BYTES..]);
    assert_eq!(in_order(again.expect("own output")), in_order(entries));
}

/// Writing sorts.
fn in_order(entries: Vec<Entry>) -> Vec<String> {
    let mut entries: Vec<String> = entries.iter().map(|entry| format!("{entry:?}")).collect();
    entries.sort_unstable();
    entries
}

/// A note that is not UTF-8 grows when it is read, and is cut when it is written.
fn cut(mut tombstone: chunk::Tombstone) -> chunk::Tombstone {
    let end = tombstone
        .note
        .floor_char_boundary(chunk::TOMBSTONE_NOTE_BYTES_MAX);
    tombstone.note.truncate(end);
    tombstone
}

/// The same with right checksums, and as long a payload as there are bytes.
fn sealed_frame(bytes: &[u8]) -> Vec<u8> {
    const INDEX_LEN: usize = 72;
    let mut bytes = bytes.to_vec();
    let Some(body_bytes) = bytes.len().checked_sub(HEADER_BYTES) else {
        return bytes;
    };
    let index_len = usize::from(bytes[INDEX_LEN]).min(body_bytes);
    let (index, payload) = bytes[HEADER_BYTES..].split_at(index_len);
    let [index_crc, payload_crc] = [crc32c(index), crc32c(payload)];
    let lengths = [index_len, body_bytes - index_len].map(|len| u32::try_from(len).expect("short"));
    for (at, number) in [
        (72, lengths[0]),
        (76, index_crc),
        (80, lengths[1]),
        (88, payload_crc),
    ] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    sealed_head(&bytes, HEADER_BYTES)
}

/// The same with the checksum of its first `head_bytes` at their end.
fn sealed_head(bytes: &[u8], head_bytes: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= head_bytes {
        let checksum = crc32c(&bytes[..head_bytes - 4]);
        bytes[head_bytes - 4..head_bytes].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

/// `raw` as the body of a manifest or snapshot.
fn envelope(magic: [u8; 4], kind: u8, raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    Compressor::new(1).compress_into(raw, &mut body);
    let mut out = magic.to_vec();
    out.extend_from_slice(&[1, 0, kind, 0]);
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&(raw.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c(&body).to_le_bytes());
    out.extend_from_slice(&crc32c(&out).to_le_bytes());
    out.extend_from_slice(&body);
    out
}
