//! Who wants which topics: a trie of topic filters for fan-out.

use std::collections::BTreeMap;

use headwater_wire::topic;

use crate::bloom;

/// Most levels that a filter may have here; beyond that it is refused at SUBSCRIBE.
pub const FILTER_LEVELS_MAX: usize = 128;

/// Topic filters, each with its subscribers (`K`) and what each of them asked for (`V`).
#[derive(Clone, Debug)]
pub struct Interest<K, V> {
    nodes: Vec<Node<K, V>>,
    free: Vec<usize>,
    filters: usize,
}

impl<K: Ord, V> Default for Interest<K, V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            filters: 0,
        }
    }
}

impl<K: Ord, V> Interest<K, V> {
    /// Puts a subscription in, and gives what the same subscriber had asked of the same filter.
    /// The filter must have passed [`topic::check_filter`] and [`FILTER_LEVELS_MAX`].
    pub fn insert(&mut self, filter: &str, who: K, what: V) -> Option<V> {
        let mut at = ROOT;
        let mut prefix = 0;
        for level in topic::levels(filter) {
            prefix += level.len();
            let hash = bloom::hash(&filter.as_bytes()[..prefix]);
            at = self.descend_or_create(at, level, hash);
            prefix += 1;
        }
        let before = self.nodes[at].subscribers.insert(who, what);
        self.filters += usize::from(before.is_none());
        before
    }

    /// Takes a subscription out.
    pub fn remove(&mut self, filter: &str, who: &K) -> Option<V> {
        let mut path = vec![(ROOT, "")];
        for level in topic::levels(filter) {
            let (at, _) = *path.last()?;
            path.push((self.child(at, level)?, level));
        }
        let (last, _) = *path.last()?;
        let before = self.nodes[last].subscribers.remove(who)?;
        self.filters -= 1;
        self.prune(&path);
        Some(before)
    }

    /// Number of subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filters
    }

    /// Whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters == 0
    }

    /// Calls `each` for every subscription whose filter matches `name`; a subscriber with several
    /// matching filters is called for each of them.
    pub fn matches(&self, name: &str, mut each: impl FnMut(&K, &V)) {
        let mut open = vec![(ROOT, Some(topic::levels(name)))];
        while let Some((at, levels)) = open.pop() {
            let node = &self.nodes[at];
            let wild = at != ROOT || !name.starts_with('$');
            if let (true, Some(rest)) = (wild, node.rest) {
                self.nodes[rest]
                    .subscribers
                    .iter()
                    .for_each(|(who, what)| each(who, what));
            }
            let Some(mut levels) = levels else { continue };
            let Some(level) = levels.next() else { continue };
            let ends = levels.clone().next().is_none();
            let one = node.one.filter(|_| wild);
            for child in one
                .into_iter()
                .chain(node.named.get(level).map(|(child, _)| *child))
            {
                if ends {
                    self.nodes[child]
                        .subscribers
                        .iter()
                        .for_each(|(who, what)| each(who, what));
                    open.push((child, None));
                } else {
                    open.push((child, Some(levels.clone())));
                }
            }
        }
    }

    /// Whether a batch with this Bloom filter may hold a topic that some filter here matches.
    #[must_use]
    pub fn may_match(&self, batch_topics: &[u8]) -> bool {
        self.may_match_of(batch_topics, |_, _| true)
    }

    /// As [`Interest::may_match`], for those subscriptions alone that `counts` says yes to; more
    /// may be asked for than do.
    #[must_use]
    pub fn may_match_of(&self, batch_topics: &[u8], counts: impl Fn(&K, &V) -> bool) -> bool {
        if self.is_empty() || batch_topics.is_empty() {
            return !self.is_empty();
        }
        let mut open = vec![ROOT];
        while let Some(at) = open.pop() {
            let node = &self.nodes[at];
            let mut subscribers = node.subscribers.iter();
            let asked = subscribers.any(|(who, what)| counts(who, what));
            if asked || node.one.is_some() || node.rest.is_some() {
                return true;
            }
            let children = node.named.values();
            open.extend(
                children
                    .filter(|(_, hash)| bloom::may_contain(batch_topics, *hash))
                    .map(|(child, _)| *child),
            );
        }
        false
    }

    fn child(&self, at: usize, level: &str) -> Option<usize> {
        let node = &self.nodes[at];
        match level {
            "+" => node.one,
            "#" => node.rest,
            name => node.named.get(name).map(|(child, _)| *child),
        }
    }

    fn descend_or_create(&mut self, at: usize, level: &str, hash: u64) -> usize {
        if let Some(child) = self.child(at, level) {
            return child;
        }
        let child = self.free.pop().unwrap_or(self.nodes.len());
        if child == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        let node = &mut self.nodes[at];
        match level {
            "+" => node.one = Some(child),
            "#" => node.rest = Some(child),
            name => {
                node.named.insert(name.into(), (child, hash));
            }
        }
        child
    }

    fn prune(&mut self, path: &[(usize, &str)]) {
        for pair in path.windows(2).rev() {
            let ((parent, _), (at, level)) = (pair[0], pair[1]);
            if !self.nodes[at].is_unused() {
                return;
            }
            self.free.push(at);
            let node = &mut self.nodes[parent];
            match level {
                "+" => node.one = None,
                "#" => node.rest = None,
                name => {
                    node.named.remove(name);
                }
            }
        }
    }
}

const ROOT: usize = 0;

/// Nodes lie in one vector, so that neither dropping nor matching a deep filter recurses.
#[derive(Clone, Debug)]
struct Node<K, V> {
    named: BTreeMap<Box<str>, (usize, u64)>,
    one: Option<usize>,
    rest: Option<usize>,
    subscribers: BTreeMap<K, V>,
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Self {
            named: BTreeMap::new(),
            one: None,
            rest: None,
            subscribers: BTreeMap::new(),
        }
    }
}

impl<K, V> Node<K, V> {
    fn is_unused(&self) -> bool {
        self.named.is_empty()
            && self.one.is_none()
            && self.rest.is_none()
            && self.subscribers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn found(interest: &Interest<u32, ()>, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        interest.matches(topic, |who, ()| found.push(*who));
        found.sort_unstable();
        found
    }

    #[test]
    fn matching_and_removal() {
        let mut interest = Interest::default();
        for (who, filter) in ["a/b", "a/+", "a/#", "#", "+/b", "$SYS/#"]
            .iter()
            .enumerate()
        {
            assert_eq!(
                interest.insert(filter, u32::try_from(who).unwrap(), ()),
                None
            );
        }
        assert_eq!(found(&interest, "a/b"), [0, 1, 2, 3, 4]);
        assert_eq!(found(&interest, "a"), [2, 3]);
        assert_eq!(found(&interest, "$SYS/x"), [5]);
        assert_eq!(interest.remove("a/#", &2), Some(()));
        assert_eq!(interest.remove("a/#", &2), None);
        assert_eq!(interest.remove("q/w/e", &2), None);
        assert_eq!(found(&interest, "a"), [3]);
        assert_eq!(interest.len(), 5);
    }

    #[test]
    fn nodes_are_reused() {
        let mut interest = Interest::default();
        for round in 0..10u32 {
            let filter = format!("a/{round}/c/d");
            interest.insert(&filter, round, ());
            interest.remove(&filter, &round);
        }
        assert!(interest.is_empty() && interest.nodes.len() == 5);
        assert!(!interest.may_match(&[]));
    }

    fn level() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "", "$x"]).prop_map(str::to_owned)
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => level(), 1 => Just("+".to_owned())];
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, rest)| {
            if rest {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn as_wire_matches(
            filters in prop::collection::vec(filter(), 0..12),
            removed in prop::collection::btree_set(0..12usize, 0..6),
            name in prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/")),
        ) {
            let mut interest = Interest::default();
            for (who, filter) in filters.iter().enumerate() {
                interest.insert(filter, u32::try_from(who).unwrap(), ());
            }
            let mut expected = BTreeSet::new();
            for (at, filter) in filters.iter().enumerate() {
                let who = u32::try_from(at).unwrap();
                if removed.contains(&at) {
                    prop_assert_eq!(interest.remove(filter, &who), Some(()));
                } else if topic::matches(filter, &name) {
                    expected.insert(who);
                }
            }
            let found = found(&interest, &name);
            prop_assert_eq!(&found, &expected.into_iter().collect::<Vec<_>>());
            let mut topics = bloom::Topics::default();
            topics.add(name.as_bytes());
            prop_assert!(found.is_empty() || interest.may_match(&topics.take()));
        }
    }
}
