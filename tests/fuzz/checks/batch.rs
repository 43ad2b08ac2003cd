//! Record batches, as the wire crate reads them and as the broker validates them.

#[path = "../../../firmware/wire/tests/entry/mod.rs"]
mod entry;

use std::cell::RefCell;

use headwater_broker::validate::Validator;
use headwater_broker_core::catalog::Validation;
use headwater_wire::batch::{self, ATTRIBUTES, BatchError, CRC, Header, Limits};
use headwater_wire::crc::crc32c;

use super::Check;

const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 1 << 18,
    records_max: 10_000,
};

/// Any bytes as a batch, a topic and a number; once more as a batch with a right checksum. The LZ4
/// decoder reserves two blocks of the size that a frame announces, up to 4 MiB each.
pub const BATCH: Check = Check {
    name: "batch",
    run,
    memory_fixed: 12 << 20,
    memory_per_byte: 256,
};

thread_local! {
    static VALIDATOR: RefCell<Validator> = RefCell::new(Validator::new(LIMITS));
}

fn run(bytes: &[u8]) {
    entry::run(bytes);
    validate(bytes);
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    let mut bytes = bytes[..header.total_bytes()].to_vec();
    let crc = crc32c(&bytes[ATTRIBUTES..]);
    bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    entry::run(&bytes);
    validate(&bytes);
}

/// What passes has as many records as it says, none beyond the limits, and would pass again.
fn validate(bytes: &[u8]) {
    VALIDATOR.with_borrow_mut(|validator| {
        let mut records = 0;
        let full = validator.check(bytes, Validation::Full, |record| {
            assert_eq!(i64::from(record.offset_delta), records);
            records += 1;
            Ok::<(), BatchError>(())
        });
        let Ok(header) = full else { return };
        assert_eq!(i64::from(header.record_count), records);
        let none =
            |_: batch::Record<'_>| -> Result<(), BatchError> { panic!("no record is looked at") };
        assert_eq!(validator.check(bytes, Validation::Header, none), Ok(header));
        let uncompressed = validator
            .records(&header, bytes)
            .expect("it was read before");
        assert!(uncompressed.len() <= LIMITS.uncompressed_bytes_max);
        assert_eq!(
            batch::records(&header, uncompressed).count(),
            usize::try_from(header.record_count).expect("counted above")
        );
    });
}
