//! Topic names and filters: three implementations beside one that is slow and plain.

use headwater_broker_core::bloom::{self, Topics};
use headwater_broker_core::interest::{FILTER_LEVELS_MAX, Interest};
use headwater_mqtt::{Version, topic as packet};
use headwater_wire::topic;

use super::Check;

/// Lines: the first is a name, the others are filters that are put in and taken out.
pub const TOPIC: Check = Check {
    name: "topic",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 512,
};

fn run(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let Some(first) = lines.next() else { return };
    let filters: Vec<&str> = lines.filter_map(filter).take(100).collect();
    let Some(name) = name(first) else { return };
    for filter in &filters {
        let matches = plain(filter, name);
        assert_eq!(topic::matches(filter, name), matches, "{filter} {name}");
    }
    interest(name, &filters);
}

/// Wire and packet parser agree on what a name is.
fn name(bytes: &[u8]) -> Option<&str> {
    let name = topic::check_name(bytes).ok();
    assert_eq!(
        name,
        packet::name(bytes).ok().filter(|name| name.len() < 65_536)
    );
    name
}

/// And on what a filter is, shared subscriptions apart.
fn filter(bytes: &[u8]) -> Option<&str> {
    let filter = topic::check_filter(bytes).ok();
    let by_packet = packet::filter(bytes, Version::V311).ok();
    assert_eq!(filter, by_packet.filter(|filter| filter.len() < 65_536));
    filter.filter(|filter| topic::levels(filter).count() <= FILTER_LEVELS_MAX)
}

/// Section 4.7 word for word.
fn plain(filter: &str, name: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    if name[0].starts_with('$') && matches!(filter[0], "#" | "+") {
        return false;
    }
    levels(&filter, &name)
}

fn levels(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, name @ ..]) => {
            (*wanted == "+" || wanted == level) && levels(filter, name)
        }
        _ => false,
    }
}

/// The trie finds the same filters, while they come and go; the Bloom filter never hides one.
fn interest(name: &str, filters: &[&str]) {
    let mut trie = Interest::default();
    let mut batch = Topics::default();
    batch.add(name.as_bytes());
    let batch = batch.take();
    let mut there: Vec<(&str, usize)> = Vec::new();
    for (who, filter) in filters.iter().enumerate() {
        trie.insert(filter, who, who);
        there.push((filter, who));
        if who % 3 == 2 {
            let (gone, who) = there.swap_remove(who % there.len());
            assert_eq!(trie.remove(gone, &who), Some(who));
            assert_eq!(trie.remove(gone, &who), None);
        }
        assert_eq!(found(&trie, name), expected(&there, name));
        let one_matches = there.iter().any(|(filter, _)| plain(filter, name));
        assert!(!one_matches || trie.may_match(&batch));
    }
    for (gone, who) in there {
        assert_eq!(trie.remove(gone, &who), Some(who));
    }
    assert!(trie.is_empty() && found(&trie, name).is_empty());
    assert!(bloom::may_contain(&batch, bloom::hash(name.as_bytes())));
}

fn found(trie: &Interest<usize, usize>, name: &str) -> Vec<usize> {
    let mut found = Vec::new();
    trie.matches(name, |who, _| found.push(*who));
    found.sort_unstable();
    found
}

fn expected(there: &[(&str, usize)], name: &str) -> Vec<usize> {
    let matching = there.iter().filter(|(filter, _)| plain(filter, name));
    let mut found: Vec<usize> = matching.map(|(_, who)| *who).collect();
    found.sort_unstable();
    found
}
