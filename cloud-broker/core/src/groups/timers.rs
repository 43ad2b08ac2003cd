//! When each group needs attention next.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::time::Millis;

/// At most one time for each group. A time may come too early: then the group has nothing to do,
/// and says a new one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Millis, String)>,
    by_group: BTreeMap<String, Millis>,
}

impl Timers {
    pub(super) fn first(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Attention at `at`, or earlier if that was said before.
    pub(super) fn set(&mut self, group: &str, at: Millis) {
        match self.by_group.get(group) {
            Some(known) if *known <= at => return,
            Some(_) => self.forget(group),
            None => {}
        }
        self.by_group.insert(group.to_owned(), at);
        self.by_time.insert((at, group.to_owned()));
    }

    pub(super) fn forget(&mut self, group: &str) {
        if let Some((name, at)) = self.by_group.remove_entry(group) {
            self.by_time.remove(&(at, name));
        }
    }

    /// A group whose time has come.
    pub(super) fn take_due(&mut self, now: Millis) -> Option<String> {
        if self.first()? > now {
            return None;
        }
        let (_, group) = self.by_time.pop_first()?;
        self.by_group.remove(&group);
        Some(group)
    }
}
