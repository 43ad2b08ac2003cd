use std::io::Write;

use headwater_wire::batch::{
    ATTRIBUTES, BATCH_LENGTH, BatchBuilder, CRC, Compressor, DecompressError, HEADER_BYTES,
    LOG_OVERHEAD_BYTES, Producer,
};
use headwater_wire::crc::crc32c;
use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

/// Key and value of each record.
type Pairs = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

fn plain(pairs: &Pairs) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (time, (key, value)) in (1000..).zip(pairs) {
        builder
            .push(
                time,
                key.as_deref(),
                value.as_deref(),
                [("h", Some(&b"v"[..]))],
            )
            .expect("room");
    }
    let mut batch = Vec::new();
    builder.finish_into(Producer::NONE, &mut batch);
    batch
}

/// The same batch with another payload.
fn with_payload(batch: &[u8], codec: Codec, payload: &[u8]) -> Vec<u8> {
    let mut batch = batch[..HEADER_BYTES].to_vec();
    batch.extend_from_slice(payload);
    let length = u32::try_from(batch.len() - LOG_OVERHEAD_BYTES).expect("small");
    batch[BATCH_LENGTH..BATCH_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&(codec as u16).to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => bytes.to_vec(),
        Codec::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).expect("memory");
            out.finish().expect("memory")
        }
        Codec::Snappy => snap::raw::Encoder::new()
            .compress_vec(bytes)
            .expect("small"),
        Codec::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).expect("memory");
            out.finish().expect("memory")
        }
        Codec::Zstd => {
            let mut out = Vec::new();
            Compressor::new(1).compress_into(bytes, &mut out);
            out
        }
    }
}

/// As Java's client does it: blocks of at most 32 KiB behind a header.
fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(32 << 10) {
        let block = compress(Codec::Snappy, block);
        out.extend_from_slice(&u32::try_from(block.len()).expect("small").to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

fn compressed(pairs: &Pairs, codec: Codec) -> Vec<u8> {
    let batch = plain(pairs);
    with_payload(&batch, codec, &compress(codec, &batch[HEADER_BYTES..]))
}

fn check(batch: &[u8]) -> Result<Pairs, BatchError> {
    let mut pairs = Pairs::new();
    Validator::default().check(batch, Validation::Full, |record| {
        pairs.push((record.key.map(Into::into), record.value.map(Into::into)));
        Ok::<_, BatchError>(())
    })?;
    Ok(pairs)
}

fn some_pairs() -> Pairs {
    let value = |n: u32| Some(format!("reading {n} of a sensor").into_bytes());
    (0..2000)
        .map(|n| (Some(b"a/b".to_vec()), value(n)))
        .collect()
}

#[test]
fn every_codec_gives_the_records_back() {
    let pairs = some_pairs();
    for codec in CODECS {
        assert_eq!(
            check(&compressed(&pairs, codec)),
            Ok(pairs.clone()),
            "{codec:?}"
        );
    }
    let batch = plain(&pairs);
    let framed = with_payload(&batch, Codec::Snappy, &xerial(&batch[HEADER_BYTES..]));
    assert_eq!(check(&framed), Ok(pairs));
}

#[test]
fn with_header_validation_no_record_is_looked_at() {
    let batch = with_payload(&plain(&some_pairs()), Codec::Gzip, b"no gzip");
    let header = Validator::default().check(&batch, Validation::Header, |_| {
        Err::<(), _>(BatchError::Producer)
    });
    assert_eq!(header.map(|header| header.record_count), Ok(2000));
    assert_eq!(
        check(&batch),
        Err(BatchError::Decompress(DecompressError::Corrupt))
    );
}

#[test]
fn a_wrong_crc_is_told_from_wrong_records() {
    let mut batch = compressed(&some_pairs(), Codec::Lz4);
    let last = batch.len() - 1;
    batch[last] ^= 1;
    assert!(matches!(check(&batch), Err(BatchError::Crc { .. })));
}

#[test]
fn bombs_are_refused_in_little_memory() {
    let limits = Limits {
        uncompressed_bytes_max: 1 << 20,
        records_max: 1000,
    };
    let zeros = vec![0; 4 << 20];
    let batch = plain(&vec![(None, None)]);
    for codec in CODECS {
        let bomb = with_payload(&batch, codec, &compress(codec, &zeros));
        let mut validator = Validator::new(limits);
        let refused = validator.check(&bomb, Validation::Full, |_| Ok::<_, BatchError>(()));
        assert_eq!(refused, Err(BatchError::TooLarge), "{codec:?}");
        assert!(validator.buffer.capacity() <= 2 << 20, "{codec:?}");
    }
    let bomb = with_payload(&batch, Codec::Snappy, &xerial(&zeros));
    let refused =
        Validator::new(limits).check(&bomb, Validation::Full, |_| Ok::<_, BatchError>(()));
    assert_eq!(refused, Err(BatchError::TooLarge));
}

#[test]
fn memory_is_not_given_for_announced_bytes() {
    // Raw Snappy that announces 16 MiB and has none of them.
    let mut batch = with_payload(
        &plain(&vec![(None, None)]),
        Codec::Snappy,
        b"\x80\x80\x80\x08ab",
    );
    assert_eq!(
        check(&batch),
        Err(BatchError::Decompress(DecompressError::Corrupt))
    );
    let many = i32::MAX.to_be_bytes();
    batch[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&many);
    let mut validator = Validator::default();
    let refused = validator.check(&batch, Validation::Full, |_| Ok::<_, BatchError>(()));
    assert!(refused.is_err());
    assert_eq!(validator.buffer.capacity(), 0);
}

#[test]
fn a_large_batch_leaves_no_memory_behind() {
    let pairs = vec![(None, Some(vec![7; 4 << 20]))];
    let batch = compressed(&pairs, Codec::Zstd);
    let mut validator = Validator::default();
    let checked = validator.check(&batch, Validation::Full, |_| Ok::<_, BatchError>(()));
    assert!(checked.is_ok());
    assert!(validator.buffer.capacity() <= BUFFER_BYTES_KEPT);
}

#[test]
fn bytes_after_the_compressed_ones_are_refused() {
    let batch = plain(&some_pairs());
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let mut payload = compress(codec, &batch[HEADER_BYTES..]);
        payload.extend_from_slice(b"more");
        let checked = check(&with_payload(&batch, codec, &payload));
        assert!(
            matches!(checked, Err(BatchError::Decompress(_))),
            "{codec:?}: {checked:?}"
        );
    }
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..200));
    prop::collection::vec((bytes(), bytes()), 1..40)
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(CODECS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_compressed_is_given_back(pairs in pairs(), codec in codec()) {
        prop_assert_eq!(check(&compressed(&pairs, codec)), Ok(pairs));
    }

    #[test]
    fn any_payload_gives_records_or_an_error(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        codec in codec(),
    ) {
        let batch = plain(&vec![(None, None); 3]);
        let _ = check(&with_payload(&batch, codec, &payload));
    }

    #[test]
    fn a_damaged_payload_gives_records_or_an_error(
        pairs in pairs(),
        codec in codec(),
        framed: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let batch = plain(&pairs);
        let mut payload = match codec {
            Codec::Snappy if framed => xerial(&batch[HEADER_BYTES..]),
            _ => compress(codec, &batch[HEADER_BYTES..]),
        };
        for (at, byte) in flips {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        let _ = check(&with_payload(&batch, codec, &payload));
    }

    #[test]
    fn any_bytes_give_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(&bytes).is_err());
    }
}

/// A consumer in Java takes neither linked blocks nor the frames of LZ4's first years.
#[test]
fn lz4_frames_that_no_consumer_reads_are_refused() {
    let batch = plain(&vec![(Some(b"k".to_vec()), Some(b"v".to_vec()))]);
    let frame = |info: lz4_flex::frame::FrameInfo| {
        let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        out.write_all(&batch[HEADER_BYTES..]).expect("memory");
        with_payload(&batch, Codec::Lz4, &out.finish().expect("memory"))
    };
    let info = lz4_flex::frame::FrameInfo::new();
    let linked = lz4_flex::frame::BlockMode::Linked;
    assert!(check(&frame(info.clone())).is_ok());
    assert!(check(&frame(info.block_mode(linked))).is_err());
    let block = lz4_flex::block::compress(&batch[HEADER_BYTES..]);
    let length = u32::try_from(block.len()).expect("small").to_le_bytes();
    let legacy = [&0x184c_2102_u32.to_le_bytes(), &length, &block[..]].concat();
    assert!(check(&with_payload(&batch, Codec::Lz4, &legacy)).is_err());
}

#[test]
fn batches_of_stock_clients_pass_whatever_their_codec() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../firmware/wire/tests/data/v1"
    );
    for client in ["java", "librdkafka", "kafka-python"] {
        let plain = std::fs::read(format!("{folder}/{client}-none.batch")).expect("readable");
        let records = check(&plain).expect("as the client made it");
        for codec in ["gzip", "snappy", "lz4", "zstd"] {
            let file = format!("{folder}/{client}-{codec}.batch");
            let batch = std::fs::read(&file).expect("readable");
            assert_eq!(check(&batch).as_ref(), Ok(&records), "{file}");
        }
    }
}
