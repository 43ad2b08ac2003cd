//! Which devices are connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The devices that have a connection now. One for all doors, behind an `Arc`.
#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<String, usize>>);

/// One connection of a device; dropped when it ends.
#[derive(Debug)]
pub struct Present {
    presence: Arc<Presence>,
    device: String,
}

impl Presence {
    /// A connection of `device` has been admitted.
    pub fn arrive(self: &Arc<Self>, device: &str) -> Present {
        self.change(|here| *here.entry(device.to_owned()).or_default() += 1);
        Present {
            presence: Arc::clone(self),
            device: device.to_owned(),
        }
    }

    /// Whether `device` has a connection.
    pub fn is_here(&self, device: &str) -> bool {
        self.change(|here| here.contains_key(device))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, usize>) -> T) -> T {
        // Each change is whole: a panic of another thread leaves nothing half done.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence
            .change(|here| match here.get_mut(&self.device) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => drop(here.remove(&self.device)),
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_here_until_its_last_connection_ends() {
        let presence = Arc::new(Presence::default());
        let old = presence.arrive("gw-1");
        let new = presence.arrive("gw-1");
        drop(old);
        assert!(presence.is_here("gw-1") && !presence.is_here("gw-2"));
        drop(new);
        assert!(!presence.is_here("gw-1"));
    }
}
