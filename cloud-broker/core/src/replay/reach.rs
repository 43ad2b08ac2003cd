//! Which streams the topics of a filter can belong to.

use std::sync::Arc;

use headwater_wire::topic;

use crate::{Catalog, Stream};

/// The streams, in matching order, that may hold a topic that `filter` matches. A stream that is
/// asked later than one that takes all such topics holds none of them.
#[must_use]
pub fn reached<'a>(catalog: &'a Catalog, filter: &str) -> Vec<&'a Arc<Stream>> {
    let mut found = Vec::new();
    for stream in catalog.streams().filter(|stream| !stream.internal) {
        let filters = &stream.spec.filters;
        if filters.iter().any(|own| overlap(own, filter)) {
            found.push(stream);
        }
        if filters.iter().any(|own| covers(own, filter)) {
            break;
        }
    }
    found
}

/// Whether some topic matches both filters.
fn overlap(a: &str, b: &str) -> bool {
    if is_beside_wildcards(a, b) || is_beside_wildcards(b, a) {
        return false;
    }
    let (mut a, mut b) = (topic::levels(a), topic::levels(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
            (Some(one), Some(other)) if one == "+" || other == "+" || one == other => {}
            _ => return false,
        }
    }
}

/// Whether every topic that `narrow` matches is matched by `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    if is_beside_wildcards(narrow, wide) {
        return false;
    }
    let (mut wide, mut narrow) = (topic::levels(wide), topic::levels(narrow));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) | (Some("#"), _) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Whether `filter` begins with `$`, which the wildcard that `other` begins with does not match.
fn is_beside_wildcards(filter: &str, other: &str) -> bool {
    filter.starts_with('$') && other.starts_with(['#', '+'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::StreamSpec;

    fn names(filter: &str) -> Vec<String> {
        let declared = [
            ("alarms", vec!["alarm/#", "+/alarm"]),
            ("line", vec!["line/+/temp"]),
            ("kafka", vec![]),
            ("events", vec!["#"]),
        ];
        let mut catalog = Catalog::new(declared.iter().map(|(n, _)| (*n).to_owned()).collect());
        for (number, (name, filters)) in (1..).zip(declared) {
            let mut spec = StreamSpec::new(name);
            spec.filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
            catalog.insert([number; 16], spec, u64::from(number));
        }
        let reached = reached(&catalog, filter);
        reached.iter().map(|s| s.spec.name.clone()).collect()
    }

    #[test]
    fn streams_are_reached_in_matching_order() {
        assert_eq!(names("#"), ["alarms", "line", "events"]);
        assert_eq!(names("alarm/x"), ["alarms"]);
        assert_eq!(names("alarm/#"), ["alarms"]);
        assert_eq!(names("line/1/temp"), ["line"]);
        assert_eq!(names("line/#"), ["alarms", "line", "events"]);
        assert_eq!(names("other/t/+"), ["events"]);
        assert_eq!(names("$SYS/x"), [""; 0]);
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "$x", "+"]);
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn as_matching_topics_says(a in filter(), b in filter()) {
            // Every topic of up to four levels of these: more levels than the filters have.
            let mut topics = vec![String::new()];
            let mut all = Vec::new();
            for _ in 0..4 {
                let longer = |topic: &String| ["a", "b", "", "$x", "c"].map(|level| format!("{topic}{level}/"));
                topics = topics.iter().flat_map(longer).collect();
                all.extend(topics.iter().map(|topic| topic[..topic.len() - 1].to_owned()));
            }
            let both = all.iter().any(|t| topic::matches(&a, t) && topic::matches(&b, t));
            prop_assert_eq!(overlap(&a, &b), both);
            if covers(&a, &b) {
                prop_assert!(all.iter().all(|t| topic::matches(&a, t) || !topic::matches(&b, t)));
            }
        }
    }
}
