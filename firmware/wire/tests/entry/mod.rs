//! What the fuzz target `batch` and `tests/fuzz.rs` run over any bytes: everything that reads bytes from
//! outside. Nothing may panic, and what passes must hold together.

use headwater_wire::batch::{
    self, BatchError, Codec, Decompressor, Header, Limits, Producer, check_crc, check_produced,
    payload, walk,
};
use headwater_wire::uplink::{self, BatchRange};
use headwater_wire::{topic, varint};

const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 1 << 18,
    records_max: 10_000,
};

/// Runs everything over `bytes`; whether they were a batch that a broker would append.
pub(crate) fn run(bytes: &[u8]) -> bool {
    numbers(bytes);
    names(bytes);
    batch(bytes)
}

fn numbers(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(number) = varint::read_i64(&mut rest) {
        assert_eq!(varint::read_i64(&mut &*varint::encode(number)), Ok(number));
    }
    let _ = varint::read_i32(&mut rest);
}

fn names(bytes: &[u8]) {
    let name = topic::check_name(bytes);
    if let (Ok(filter), Ok(name)) = (topic::check_filter(bytes), name) {
        assert!(
            topic::matches(filter, name),
            "a name without wildcards matches itself"
        );
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Ok(topic) = uplink::Topic::parse(text) {
            assert_eq!(topic.to_string(), text);
        }
        let _ = topic::matches(text, "a/b/c") | topic::matches("a/+/#", text);
    }
    if let Some(range) = uplink::LostRange::parse(bytes) {
        assert_eq!(range.to_string().as_bytes(), bytes);
    }
}

fn batch(bytes: &[u8]) -> bool {
    let Ok(header) = Header::parse(bytes) else {
        return false;
    };
    assert!(header.total_bytes() <= bytes.len());
    let _ = (header.last_offset(), header.last_sequence());
    let numbered = BatchRange::of(&header);
    assert!(numbered.is_none_or(|range| range.first <= range.last()));
    restamp(bytes, &header);

    let payload = payload(&header, bytes);
    let _ = uplink::loss_range(&header, payload);
    let Some(records) = uncompressed(&header, payload) else {
        return false;
    };
    // As a stream with `validation = header` reads them.
    let read = batch::records(&header, &records)
        .map_while(Result::ok)
        .inspect(|record| assert_eq!(record.headers.len(), record.headers.count()))
        .count();
    let mut walked = 0;
    let whole = walk(&header, &records, &LIMITS, |_| {
        walked += 1;
        Ok::<(), BatchError>(())
    });
    assert!(whole.is_err() || (walked == read && Ok(walked) == header.record_count.try_into()));
    whole.is_ok() && check_crc(bytes, &header).is_ok() && check_produced(&header).is_ok()
}

fn uncompressed(header: &Header, payload: &[u8]) -> Option<Vec<u8>> {
    match header.codec().ok()? {
        Codec::Zstd => {
            let mut records = Vec::new();
            let max = LIMITS.uncompressed_bytes_max;
            let result = Decompressor::new().decompress_into(payload, &mut records, max);
            assert!(records.len() <= max);
            result.ok().map(|()| records)
        }
        Codec::None => Some(payload.to_vec()),
        // The libraries' part; what they give could be anything.
        Codec::Gzip | Codec::Snappy | Codec::Lz4 => Some(payload.to_vec()),
    }
}

/// The CRC of a batch that is restamped becomes right whatever it was.
fn restamp(bytes: &[u8], header: &Header) {
    let mut copy = bytes.to_vec();
    let producer = Producer {
        id: 1,
        epoch: 2,
        base_sequence: 3,
    };
    batch::restamp(&mut copy, producer).expect("the header was read");
    batch::patch_base_offset(&mut copy, i64::MIN);
    batch::patch_leader_epoch(&mut copy, i32::MAX);
    let stamped = Header::parse(&copy).expect("the length is as it was");
    assert_eq!(check_crc(&copy, &stamped), Ok(()));
    assert_eq!(stamped.producer(), producer);
    assert_eq!(copy.len(), bytes.len());
    assert_eq!(payload(&stamped, &copy), payload(header, bytes));
}
