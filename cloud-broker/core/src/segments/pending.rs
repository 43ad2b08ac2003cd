//! When an object that nothing names any more may be deleted.

use std::collections::BTreeMap;

use headwater_wire::time::Millis;

/// Names that a manifest lists as to be deleted, and since when this owner has known them. A
/// reader may still hold an older view, so each waits for a time of grace on a clock that nobody
/// sets; a new owner begins to wait anew.
#[derive(Clone, Debug)]
pub struct PendingDelete {
    grace_ms: i64,
    since: BTreeMap<String, Millis>,
}

impl PendingDelete {
    /// With so much grace, ms.
    #[must_use]
    pub fn new(grace_ms: i64) -> Self {
        let since = BTreeMap::new();
        Self { grace_ms, since }
    }

    /// The manifest is durable and lists these names now, and no others. `now` is monotonic.
    pub fn listed(&mut self, names: &[String], now: Millis) {
        let before = std::mem::take(&mut self.since);
        let since = |name: &String| before.get(name).copied().unwrap_or(now);
        let names = names.iter().map(|name| (name.clone(), since(name)));
        self.since = names.collect();
    }

    /// Names that may be deleted now.
    pub fn due(&self, now: Millis) -> impl Iterator<Item = &String> {
        let is_due = move |since: &Millis| now.0.saturating_sub(since.0) >= self.grace_ms;
        let due = self.since.iter().filter(move |(_, since)| is_due(since));
        due.map(|(name, _)| name)
    }
}

/// The shard's epoch in the name of a segment, snapshot or page.
#[must_use]
pub fn epoch_in_name(name: &str) -> Option<u32> {
    let (_, file) = name.rsplit_once('/')?;
    let (epoch, _) = file.split_once('-')?;
    (epoch.len() == 8).then(|| u32::from_str_radix(epoch, 16).ok())?
}

/// Whether an object that the manifest does not name can be deleted: it was made under an earlier
/// epoch, so whoever made it can never name it any more. Its age says nothing.
#[must_use]
pub fn is_orphan(name: &str, epoch: u32) -> bool {
    epoch_in_name(name).is_some_and(|made| made < epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_begins_once() {
        let mut pending = PendingDelete::new(100);
        let names = ["a".to_owned(), "b".to_owned()];
        let due =
            |pending: &PendingDelete, now| pending.due(Millis(now)).cloned().collect::<Vec<_>>();
        pending.listed(&names[..1], Millis(0));
        pending.listed(&names, Millis(50));
        assert!(due(&pending, 99).is_empty());
        assert_eq!(due(&pending, 100), ["a"]);
        assert_eq!(due(&pending, 150), ["a", "b"]);
        pending.listed(&names[1..], Millis(120));
        assert_eq!(due(&pending, 150), ["b"]);
    }

    #[test]
    fn orphans_are_told_by_epoch() {
        let name = "s/0000a/g/00000007-01020304-00000000";
        assert_eq!(epoch_in_name(name), Some(7));
        assert_eq!([7, 8].map(|epoch| is_orphan(name, epoch)), [false, true]);
        for strange in ["x", "s/0000a/g/7-1-2", "s/0000a/g/readme-is-here"] {
            assert!(!is_orphan(strange, u32::MAX), "{strange}");
        }
    }
}
