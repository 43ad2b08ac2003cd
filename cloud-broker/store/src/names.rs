//! Names of registers, slots and blobs, the same in a bucket and in a local directory.
//!
//! Epochs and counters are fixed-width hex, so names sort as numbers do. In a bucket all of
//! them lie below `<root>/v1/`.

use headwater_wire::crc;

use crate::ids::Incarnation;

/// The cluster's own register.
pub const CLUSTER: &str = "cluster";

/// Whether the wall clock has jumped.
pub const CLOCK: &str = "clock";

/// Heartbeat of a broker's life.
pub fn member(inc: Incarnation) -> String {
    format!("m/{inc}")
}

/// A journal's place, without a slash at its end.
pub fn journal(inc: Incarnation) -> String {
    format!("j/{:02x}/{inc}", crc::crc32c(&inc.0) & 0xff)
}

/// Register of a journal: open, frozen or sealed.
pub fn head(inc: Incarnation) -> String {
    format!("{}/head", journal(inc))
}

/// Register of a shard.
pub fn manifest(shard: u32) -> String {
    format!("s/{shard:05x}/manifest")
}

/// State snapshot number `n` of an owner's life.
pub fn snapshot(shard: u32, epoch: u32, inc: Incarnation, n: u32) -> String {
    format!("s/{shard:05x}/x/{epoch:08x}-{}-{n:08x}", inc.short())
}

/// Segment number `n` of an owner's life.
pub fn segment(shard: u32, epoch: u32, inc: Incarnation, n: u32) -> String {
    format!("s/{shard:05x}/g/{epoch:08x}-{}-{n:08x}", inc.short())
}

/// Manifest page number `n` of an owner's life.
pub fn page(shard: u32, epoch: u32, inc: Incarnation, n: u32) -> String {
    format!("s/{shard:05x}/p/{epoch:08x}-{}-{n:08x}", inc.short())
}

/// The incarnation in the name of a `head` register, or none.
pub fn parse_head(name: &str) -> Option<Incarnation> {
    let inc = Incarnation::parse(name.strip_suffix("/head")?.rsplit('/').next()?)?;
    (head(inc) == name).then_some(inc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fixed() {
        let inc = Incarnation(*b"0123456789abcdef");
        assert_eq!(member(inc), "m/30313233343536373839616263646566");
        assert_eq!(manifest(0x2a), "s/0002a/manifest");
        assert_eq!(
            snapshot(1, 2, inc, 3),
            "s/00001/x/00000002-30313233-00000003"
        );
        assert_eq!(
            segment(1, 2, inc, 3),
            "s/00001/g/00000002-30313233-00000003"
        );
        assert_eq!(page(1, 2, inc, 3), "s/00001/p/00000002-30313233-00000003");
        assert_eq!(parse_head(&head(inc)), Some(inc));
        assert_eq!(parse_head("j/00/head"), None);
    }
}
