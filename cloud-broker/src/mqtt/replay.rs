//! What a SUBSCRIBE with the user property `from` or `offsets` asks for (`interfaces.md` 2), and
//! where in the log it begins.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker_core::{Catalog, Stream, replay};
use headwater_mqtt::Properties;

use crate::backend::Backend;
use crate::start::{self, From, Start};

/// User property that says where to begin.
const FROM: &str = "from";
/// User property that has each record tell its offset; `from` implies it.
const OFFSETS: &str = "offsets";

const WRONG: &str = "from must be earliest, RFC 3339, or PARTITION:OFFSET,… (of several streams: STREAM/PARTITION:OFFSET,…)";

/// What the user properties say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) from: Option<&'a str>,
    pub(super) offsets: bool,
}

/// Where a replay begins; both by partition of the whole broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// At these offsets.
    Offsets(Vec<i64>),
    /// Where there are records of this time or later, ms, but at these offsets at the latest: what
    /// comes after the SUBSCRIBE is delivered in any case.
    Time {
        ms: i64,
        /// Where it has to be looked for.
        partitions: Vec<usize>,
        latest: Vec<i64>,
    },
}

impl<'a> Asked<'a> {
    /// From a SUBSCRIBE.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn of(properties: Properties<'a>) -> Result<Self, &'static str> {
        let mut asked = Asked {
            from: None,
            offsets: false,
        };
        for (name, value) in properties.user() {
            match name {
                FROM if asked.from.replace(value).is_some() => return Err("from is given twice"),
                FROM | OFFSETS => asked.offsets = true,
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// The log as a replay finds it.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    pub(super) backend: &'a Backend,
    pub(super) catalog: &'a Catalog,
    /// By partition: where live delivery is.
    pub(super) live: &'a [i64],
}

impl Log<'_> {
    /// Where a subscription to `filters` begins. Streams that hold none of their topics are not
    /// read at all. Partitions that a list of offsets does not name begin with their first record,
    /// so that nothing of a partition that was added meanwhile is missed; an offset that is no
    /// longer there begins with the first that is.
    ///
    /// # Errors
    /// Why `from` is refused.
    pub(super) fn beginning<'f>(
        self,
        from: &str,
        filters: impl Iterator<Item = &'f str>,
    ) -> Result<Beginning, String> {
        let streams = self.reached(filters);
        let mut places = self.live.to_vec();
        places.resize(places.len().max(self.catalog.partitions()), 0);
        match from.parse() {
            Ok(From::Everywhere(Start::Earliest)) => {
                for partition in streams.iter().flat_map(|stream| &stream.partitions) {
                    places[partition.index()] = 0;
                }
                Ok(Beginning::Offsets(places))
            }
            Ok(From::Everywhere(Start::Time(ms))) => Ok(Beginning::Time {
                ms,
                partitions: partitions(&streams),
                latest: places,
            }),
            Ok(From::Everywhere(_)) => Err(WRONG.to_owned()),
            Ok(From::Each(_)) | Err(_) => {
                self.name_offsets(from, &streams, &mut places)?;
                Ok(Beginning::Offsets(places))
            }
        }
    }

    fn reached<'f>(&self, filters: impl Iterator<Item = &'f str>) -> Vec<&Stream> {
        let reached = filters.flat_map(|filter| replay::reached(self.catalog, filter));
        let ids: BTreeSet<_> = reached.map(|stream| stream.id).collect();
        let all = self.catalog.streams().map(|stream| &**stream);
        all.filter(|stream| ids.contains(&stream.id)).collect()
    }

    fn name_offsets(
        &self,
        from: &str,
        streams: &[&Stream],
        places: &mut [i64],
    ) -> Result<(), String> {
        let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for item in from.split(',') {
            let (stream, pair) = match (item.split_once('/'), streams) {
                (Some(qualified), _) => qualified,
                (None, [only]) => (only.spec.name.as_str(), item),
                (None, _) => return Err(unclear(from, streams)),
            };
            named.entry(stream).or_default().push(pair);
        }
        for stream in streams {
            let pairs = named.remove(stream.spec.name.as_str());
            let each = pairs.map_or(Ok(Vec::new()), |pairs| each(&pairs.join(",")))?;
            self.place(stream, each, places)?;
        }
        match named.into_keys().next() {
            Some(name) => Err(format!(
                "No topic of these filters belongs to stream {name}"
            )),
            None => Ok(()),
        }
    }

    fn place(
        &self,
        stream: &Stream,
        each: Vec<(u32, i64)>,
        places: &mut [i64],
    ) -> Result<(), String> {
        for partition in &stream.partitions {
            places[partition.index()] = 0;
        }
        for (number, offset) in each {
            let name = &stream.spec.name;
            let partition = usize::try_from(number).ok();
            let partition = partition.and_then(|number| stream.partitions.get(number));
            let Some(partition) = partition else {
                return Err(format!("Stream {name} has no partition {number}"));
            };
            let end = self.backend.bounds(*partition).end;
            if offset > end {
                return Err(format!("Partition {number} of stream {name} ends at {end}"));
            }
            places[partition.index()] = offset;
        }
        Ok(())
    }
}

/// `P:O,P:O…`.
fn each(pairs: &str) -> Result<Vec<(u32, i64)>, String> {
    match pairs.parse() {
        Ok(From::Each(each)) => Ok(each),
        Err(start::TWICE) => Err(format!("from {}", start::TWICE)),
        _ => Err(WRONG.to_owned()),
    }
}

fn partitions(streams: &[&Stream]) -> Vec<usize> {
    let all = streams.iter().flat_map(|stream| &stream.partitions);
    all.map(|partition| partition.index()).collect()
}

/// Why offsets that name no stream are refused.
fn unclear(from: &str, streams: &[&Stream]) -> String {
    if !matches!(from.parse(), Ok(From::Each(_))) {
        return WRONG.to_owned();
    }
    match streams {
        [] => "No topic of these filters belongs to a stream".to_owned(),
        _ => {
            let names: Vec<_> = streams.iter().map(|s| s.spec.name.as_str()).collect();
            let names = names.join(", ");
            format!("from must name the stream of each offset, STREAM/PARTITION:OFFSET, of {names}")
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_mqtt::PropertyBuf;

    use super::*;

    fn properties(list: &[(&str, &str)]) -> PropertyBuf {
        let mut properties = PropertyBuf::new();
        for (name, value) in list {
            properties.push_user(name, value).unwrap();
        }
        properties
    }

    fn asked(list: &[(&str, &str)]) -> Result<(Option<String>, bool), &'static str> {
        let properties = properties(list);
        let asked = Asked::of(properties.view())?;
        Ok((asked.from.map(str::to_owned), asked.offsets))
    }

    #[test]
    fn user_properties_say_what_is_asked_for() {
        assert_eq!(asked(&[("x", "y")]), Ok((None, false)));
        assert_eq!(asked(&[("offsets", "")]), Ok((None, true)));
        let from = Some("earliest".to_owned());
        assert_eq!(asked(&[("from", "earliest")]), Ok((from, true)));
        assert!(asked(&[("from", "1:2"), ("from", "1:2")]).is_err());
    }
}
