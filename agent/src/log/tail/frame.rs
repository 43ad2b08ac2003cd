//! One frame of the tail journal: a header of 64 bytes and sections, from a 4 KiB boundary on.

use headwater_wire::crc::crc32c;

use crate::log::device::LogId;

pub(super) const MAGIC: [u8; 4] = *b"HWJ1";
/// What is written. Format 1 has no cursors, and is else the same.
pub(super) const FORMAT: u16 = 2;
const FORMAT_OLDEST: u16 = 1;

const FORMAT_AT: usize = 4;
const KIND_AT: usize = FORMAT_AT + 2;
const FLAGS_AT: usize = KIND_AT + 1;
const LOG_ID_AT: usize = FLAGS_AT + 1;
const SEQUENCE_AT: usize = LOG_ID_AT + 16;
const PREVIOUS_AT: usize = SEQUENCE_AT + 8;
const BODY_BYTES_AT: usize = PREVIOUS_AT + 4;
const BODY_CRC_AT: usize = BODY_BYTES_AT + 4;
const FILE_BYTES_AT: usize = BODY_CRC_AT + 4;
const RESERVED_AT: usize = FILE_BYTES_AT + 8;
const HEADER_CRC_AT: usize = RESERVED_AT + 8;
/// Bytes before the sections.
pub(super) const HEADER_BYTES: usize = HEADER_CRC_AT + 4;
/// Frames begin at multiples of this, so that no page with synced bytes is written again.
pub(super) const PAGE_BYTES: usize = 4096;

const _: () = assert!(HEADER_BYTES == 64);

/// What a frame is. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// First in its file: everything that is live, in place of all frames before.
    Checkpoint = 1,
    /// What one commit adds.
    Commit = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    /// CRC of the header before it in the chain; of a checkpoint, of the last frame it replaces.
    pub(super) previous: u32,
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
    /// Length of the file, as preallocated.
    pub(super) file_bytes: u64,
    pub(super) header_crc: u32,
}

/// Why bytes at a boundary are no frame of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// Not one, or not whole.
    Bad,
    /// One of a later version.
    Newer(u16),
}

/// Makes the frame of `body` in `out`, padded to whole pages; gives its header's CRC.
pub(super) fn encode_into(
    out: &mut Vec<u8>,
    log_id: &LogId,
    header: (Kind, u64, u32, u64),
    body: &[u8],
) -> u32 {
    let (kind, sequence, previous, file_bytes) = header;
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0]);
    out.extend_from_slice(log_id);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&previous.to_le_bytes());
    let body_bytes = u32::try_from(body.len()).expect("a frame is smaller than its file");
    out.extend_from_slice(&body_bytes.to_le_bytes());
    out.extend_from_slice(&crc32c(body).to_le_bytes());
    out.extend_from_slice(&file_bytes.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let header_crc = crc32c(out);
    out.extend_from_slice(&header_crc.to_le_bytes());
    debug_assert_eq!(out.len(), HEADER_BYTES);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(PAGE_BYTES), 0);
    header_crc
}

/// The highest sequence in a file of whatever log, and the log's id there.
pub(in crate::log) fn newest_log_id(file: &[u8]) -> Option<(u64, LogId)> {
    let of_page = |page: &[u8]| {
        let id: LogId = page.get(LOG_ID_AT..SEQUENCE_AT)?.try_into().ok()?;
        let header = decode(page, &id).ok()?;
        Some((header.sequence, id))
    };
    file.chunks(PAGE_BYTES).filter_map(of_page).max()
}

/// Reads the header at the front of `bytes`, if it is one of this log.
pub(super) fn decode(bytes: &[u8], log_id: &LogId) -> Result<Header, NoFrame> {
    let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(NoFrame::Bad)?;
    let header_crc = u32_at(head, HEADER_CRC_AT);
    let is_ours = head[..FORMAT_AT] == MAGIC && head[LOG_ID_AT..SEQUENCE_AT] == *log_id;
    if !is_ours || crc32c(&head[..HEADER_CRC_AT]) != header_crc {
        return Err(NoFrame::Bad);
    }
    let format = u16::from_le_bytes([head[FORMAT_AT], head[FORMAT_AT + 1]]);
    if !(FORMAT_OLDEST..=FORMAT).contains(&format) {
        return Err(NoFrame::Newer(format));
    }
    let kind = match head[KIND_AT] {
        1 => Kind::Checkpoint,
        2 => Kind::Commit,
        _ => return Err(NoFrame::Bad),
    };
    let sequence = u64_at(head, SEQUENCE_AT);
    // No log gets so far, and there must be numbers for the frames that follow.
    if sequence > u64::MAX / 2 {
        return Err(NoFrame::Bad);
    }
    Ok(Header {
        kind,
        sequence,
        previous: u32_at(head, PREVIOUS_AT),
        body_bytes: u32_at(head, BODY_BYTES_AT),
        body_crc: u32_at(head, BODY_CRC_AT),
        file_bytes: u64_at(head, FILE_BYTES_AT),
        header_crc,
    })
}

/// Bytes that a frame with a body of `body_bytes` takes in its file.
pub(super) fn frame_bytes(body_bytes: usize) -> u64 {
    (HEADER_BYTES + body_bytes).next_multiple_of(PAGE_BYTES) as u64
}

fn u32_at(head: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn u64_at(head: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(head, at)) | u64::from(u32_at(head, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LogId = [9; 16];

    fn frame() -> Vec<u8> {
        let mut out = Vec::new();
        encode_into(
            &mut out,
            &ID,
            (Kind::Commit, 42, 0xdead_beef, 1 << 21),
            b"body",
        );
        out
    }

    #[test]
    fn round_trip() {
        let bytes = frame();
        assert_eq!(bytes.len(), PAGE_BYTES);
        let header = decode(&bytes, &ID).unwrap();
        assert_eq!((header.kind, header.sequence), (Kind::Commit, 42));
        assert_eq!((header.previous, header.body_bytes), (0xdead_beef, 4));
        assert_eq!(header.body_crc, crc32c(b"body"));
        assert_eq!(header.file_bytes, 1 << 21);
        assert_eq!((frame_bytes(4032), frame_bytes(4033)), (4096, 8192));
    }

    #[test]
    fn every_changed_byte_of_the_header_is_seen() {
        for index in 0..HEADER_BYTES {
            let mut bytes = frame();
            bytes[index] ^= 1;
            assert_eq!(decode(&bytes, &ID), Err(NoFrame::Bad), "byte {index}");
        }
        assert_eq!(
            decode(&frame(), &[8; 16]),
            Err(NoFrame::Bad),
            "another log's"
        );
    }

    #[test]
    fn a_later_format_is_not_taken_for_damage() {
        let mut bytes = frame();
        bytes[FORMAT_AT] = 3;
        let crc = crc32c(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&bytes, &ID), Err(NoFrame::Newer(3)));
    }
}
