//! Names of segments and of their directories.

use headwater_agent_core::lane::LaneName;
use headwater_wire::uplink::Position;

/// The directory of a lane's segments.
pub(in crate::log) fn dir_name(lane: &LaneName) -> String {
    format!("{}.{}.lane", lane.stream, lane.lane)
}

/// The lane whose segments lie in a directory of that name.
pub(in crate::log) fn parse_dir_name(name: &str) -> Option<LaneName> {
    let (stream, lane) = name.strip_suffix(".lane")?.rsplit_once('.')?;
    headwater_wire::uplink::check_stream(stream).ok()?;
    headwater_wire::uplink::check_lane(lane).ok()?;
    Some(LaneName::new(stream, lane))
}

/// First position and serial of a segment with that name.
pub(in crate::log) fn parse_name(name: &str) -> Option<(Position, u64)> {
    let (first, serial) = name.strip_suffix(".redb")?.split_once('-')?;
    let first = Position(first.parse().ok()?);
    (first < Position::END).then_some((first, serial.parse().ok()?))
}

/// First position of a segment with that name.
pub(in crate::log) fn first_of(name: &str) -> Option<Position> {
    parse_name(name).map(|(first, _)| first)
}

/// A segment's name.
pub(in crate::log) fn name(first: Position, serial: u64) -> String {
    format!("{:014}-{serial}.redb", first.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for lane in [LaneName::main("events"), LaneName::new("a.b-c", "live-2")] {
            assert_eq!(parse_dir_name(&dir_name(&lane)), Some(lane));
        }
        assert_eq!(parse_dir_name("lost+found"), None);
        assert_eq!(parse_name("00000000000042-7.redb"), Some((Position(42), 7)));
        assert_eq!(
            parse_name("70368744177664-7.redb"),
            None,
            "behind the last position"
        );
        assert_eq!(parse_name("x.redb"), None);
    }
}
