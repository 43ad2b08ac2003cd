use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, Codec, Header, Producer, payload};

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new(1).compress_into(bytes, &mut out);
    out
}

fn decompressed(frame: &[u8], max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = vec![9; 5000];
    Decompressor::new()
        .decompress_into(frame, &mut out, max)
        .map(|()| out)
}

/// Enough to make a window larger than the first room, and compressible.
fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| (i / 7 % 251).to_le_bytes()[0] ^ (i / 4096).to_le_bytes()[0])
        .collect()
}

/// The frame of `bytes` without its content size, as streaming encoders write it.
fn streamed(bytes: &[u8]) -> Vec<u8> {
    let mut context = CCtx::create();
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let mut output = OutBuffer::around(&mut out[..]);
    let mut input = InBuffer::around(bytes);
    while input.pos() < bytes.len() {
        context
            .compress_stream(&mut output, &mut input)
            .expect("room");
    }
    assert_eq!(context.end_stream(&mut output).expect("room"), 0);
    let written = output.pos();
    out.truncate(written);
    assert_eq!(zstd_safe::get_frame_content_size(&out).ok(), Some(None));
    out
}

#[test]
fn frames_are_what_stock_clients_can_decode() {
    let bytes = sample(9 << 20);
    for level in [-100, 1, 19, 100] {
        let mut frame = Vec::new();
        Compressor::new(level).compress_into(&bytes[..1 << 20], &mut frame);
        assert_eq!(
            zstd_safe::get_frame_content_size(&frame).ok(),
            Some(Some(1 << 20))
        );
        assert_eq!(zstd_safe::get_dict_id_from_frame(&frame), None);
    }
    let frame = compressed(&bytes);
    assert_eq!(decompressed(&frame, bytes.len()), Ok(bytes));
}

#[test]
fn the_limit_is_exact() {
    for bytes in [sample(1), sample(1023), sample(1024), sample(300_000)] {
        for frame in [compressed(&bytes), streamed(&bytes)] {
            assert_eq!(decompressed(&frame, bytes.len()).as_ref(), Ok(&bytes));
            if let Some(less) = bytes.len().checked_sub(1) {
                assert_eq!(decompressed(&frame, less), Err(DecompressError::TooLarge));
            }
        }
    }
}

#[test]
fn nothing_is_a_frame_too() {
    assert_eq!(decompressed(&compressed(b""), 0), Ok(Vec::new()));
    assert_eq!(decompressed(b"", 0), Err(DecompressError::Corrupt));
}

#[test]
fn memory_grows_with_what_comes_out() {
    let mut frame = compressed(&vec![0; 100 << 20]);
    assert!(frame.len() < 20_000);
    let mut out = Vec::new();
    let mut decompressor = Decompressor::new();
    assert_eq!(
        decompressor.decompress_into(&frame, &mut out, 1 << 20),
        Err(DecompressError::TooLarge)
    );
    assert!(out.is_empty() && out.capacity() <= 2 << 20);
    // 100 MiB announced, and next to nothing there.
    frame.truncate(20);
    let mut out = Vec::new();
    let result = decompressor.decompress_into(&frame, &mut out, 200 << 20);
    assert_eq!(result, Err(DecompressError::Corrupt));
    assert!(out.capacity() < 1 << 20);
}

#[test]
fn one_frame_and_nothing_else() {
    let bytes = sample(5000);
    for frame in [compressed(&bytes), streamed(&bytes)] {
        for end in 0..frame.len() {
            assert_eq!(
                decompressed(&frame[..end], 1 << 20),
                Err(DecompressError::Corrupt)
            );
        }
        let mut more = frame.clone();
        more.push(0);
        assert_eq!(decompressed(&more, 1 << 20), Err(DecompressError::Trailing));
        let two = [&frame[..], &frame].concat();
        assert_eq!(decompressed(&two, 1 << 20), Err(DecompressError::Trailing));
    }
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 1];
    assert_eq!(
        decompressed(&skippable, 1 << 20),
        Err(DecompressError::Corrupt)
    );
}

#[test]
fn a_failed_frame_leaves_no_trace_in_the_context() {
    let bytes = sample(100_000);
    let frame = streamed(&bytes);
    let mut decompressor = Decompressor::new();
    let mut out = Vec::new();
    for _ in 0..3 {
        let cut = &frame[..frame.len() / 2];
        assert!(
            decompressor
                .decompress_into(cut, &mut out, 1 << 20)
                .is_err()
        );
        assert_eq!(
            decompressor.decompress_into(&frame, &mut out, 1 << 20),
            Ok(())
        );
        assert_eq!(out, bytes);
    }
}

#[test]
fn batches_are_compressed_only_if_that_helps() {
    let mut builder = BatchBuilder::new();
    let mut compressor = Compressor::new(1);
    let mut batch = Vec::new();
    builder.push(1, None, Some(b"x"), []).expect("small");
    builder.finish_zstd_into(Producer::NONE, &mut compressor, &mut batch);
    assert_eq!(
        Header::parse_exact(&batch).expect("built").codec(),
        Ok(Codec::None)
    );

    batch.clear();
    builder
        .push(1, None, Some(&[b'x'; 1000]), [])
        .expect("small");
    builder.encode_zstd_into(Producer::NONE, &mut compressor, &mut batch);
    let header = Header::parse_exact(&batch).expect("built");
    assert_eq!(header.codec(), Ok(Codec::Zstd));
    assert_eq!(crate::batch::check_crc(&batch, &header), Ok(()));
    let records = decompressed(payload(&header, &batch), 2000).expect("ours");
    assert_eq!(records.len(), builder.uncompressed_bytes());
}

proptest! {
    #[test]
    fn round_trip(bytes in vec(0u8..4, 0..5000), level in -10..22) {
        let mut frame = b"before".to_vec();
        Compressor::new(level).compress_into(&bytes, &mut frame);
        prop_assert_eq!(decompressed(&frame[6..], 5000), Ok(bytes));
    }

    #[test]
    fn garbage_is_an_error(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(decompressed(&bytes, 1 << 16).is_err());
    }
}
