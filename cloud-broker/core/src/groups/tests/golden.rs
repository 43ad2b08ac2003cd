//! Records as `FORMAT.md` has them, byte by byte.

use super::*;

const GROUP_KEY: &str = "01 01 0001 67";
const GROUP: &str = "01 00000000000f4434 00000001 0008 636f6e73756d6572 0005 72616e6765 0003 612d31 00000001 \
     0003 612d31 0000 0001 61 0000 00002710 00007530 00000001 0005 72616e6765 00000006 746f70696373 \
     00000009 70617274206f662061";
const OFFSET_KEY: &str = "01 02 0001 67 07070707070707070707070707070707 00000002";
const OFFSET: &str = "01 0000000000000005 00000003 00000000000f4628 0007 776f7264732035";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn records_are_as_documented() {
    let mut desk = Desk::new();
    desk.now = Millis(1_000_500);
    let members = desk.stable(&["a"]);
    desk.now = Millis(1_001_000);
    desk.told(Request::Commit(commit(caller(&members[0]), 2, 5)));
    let log: Vec<(Vec<u8>, Vec<u8>)> = desk.log.clone().into_iter().collect();
    let golden = [
        (bytes(GROUP_KEY), bytes(GROUP)),
        (bytes(OFFSET_KEY), bytes(OFFSET)),
    ];
    let hex = |all: &[(Vec<u8>, Vec<u8>)]| -> Vec<String> {
        all.iter()
            .map(|(key, value)| format!("{key:02x?} {value:02x?}"))
            .collect()
    };
    assert_eq!(hex(&log), hex(&golden));
}

#[test]
fn damage_and_later_formats_are_named() {
    let load = |key: &[u8], value: &[u8]| {
        Groups::load(Limits::default(), [(key, value)], Millis(0)).map(drop)
    };
    for (key, value) in [(GROUP_KEY, GROUP), (OFFSET_KEY, OFFSET)] {
        let (key, value) = (bytes(key), bytes(value));
        assert_eq!(load(&key, &value), Ok(()));
        for cut in 0..value.len() {
            assert!(load(&key, &value[..cut]).is_err());
        }
        for cut in 0..key.len() {
            assert!(load(&key[..cut], &value).is_err());
        }
        let longer = [&value[..], b"x"].concat();
        assert_eq!(load(&key, &longer), Err(RecordError::Damaged));
        let later = [b"\x02", &value[1..]].concat();
        assert_eq!(load(&key, &later), Err(RecordError::Format(2)));
    }
    let other = [&bytes(GROUP_KEY)[..1], b"\x09", &bytes(GROUP_KEY)[2..]].concat();
    assert_eq!(load(&other, &bytes(GROUP)), Err(RecordError::Kind(9)));
}
