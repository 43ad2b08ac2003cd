//! Records of the internal streams.

use headwater_broker_core::catalog::CatalogRecord;
use headwater_broker_core::groups::{Groups, Limits};
use headwater_broker_core::lanes::Bindings;
use headwater_wire::time::Millis;

use super::Check;

/// A key, a line's end, a value: read as a record of each internal stream.
pub const INTERNAL: Check = Check {
    name: "internal",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 256,
};

fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (key, value) = bytes.split_at(end.unwrap_or_default());
    catalog(value);
    lanes(key, value);
    groups(bytes);
}

/// The first byte is the key's length. A group that was read lives on, whatever was in it.
fn groups(bytes: &[u8]) {
    let Some((&key_bytes, rest)) = bytes.split_first() else {
        return;
    };
    let (key, value) = rest.split_at(usize::from(key_bytes).min(rest.len()));
    let now = Millis(1_760_000_000_000);
    let Ok(mut groups) = Groups::load(Limits::default(), [(key, value)], now) else {
        return;
    };
    for _ in 0..5 {
        let Some(deadline) = groups.deadline() else {
            break;
        };
        groups.poll(deadline);
        drop(groups.take_actions());
    }
}

fn catalog(value: &[u8]) {
    if let Ok((id, record)) = CatalogRecord::decode(value) {
        let again = CatalogRecord::decode(&record.encode());
        assert_eq!(again.expect("own output"), (id, record.clone()));
        let _ = record.spec.check();
    }
}

fn lanes(key: &[u8], value: &[u8]) {
    let mut bindings = Bindings::default();
    if bindings.handle_record(key, value, |_| true).is_err() {
        return;
    }
    for (device, stream, binding) in bindings.iter() {
        assert_eq!(format!("{device}/{stream}").as_bytes(), key);
        assert_eq!(
            bindings.find(device, stream, &binding.topic_id),
            Some(binding)
        );
        assert_eq!(bindings.lanes_of(device), binding.lanes.len());
        let mut again = Bindings::default();
        again
            .handle_record(key, &binding.encode(), |_| true)
            .expect("own output");
        assert_eq!(again.find(device, stream, &binding.topic_id), Some(binding));
    }
}
