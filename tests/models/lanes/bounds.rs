//! How far the protocol is followed.

/// Numbers that keep the state space finite.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Records that sources offer.
    pub records: u8,
    /// Records in the open tail.
    pub open: u8,
    /// Records in a batch.
    pub batch: u8,
    /// Publishes under way.
    pub window: u8,
    /// Positions until they wrap into the next epoch.
    pub wrap: u8,
    /// Entries of a lane that the broker remembers, at most the five of the program.
    pub ring: u8,
    /// Acknowledged entries that the agent keeps.
    pub grace: u8,
    /// How often the broker may crash; if never, all that it appends is durable at once.
    pub broker_crashes: u8,
    /// How often agents may crash.
    pub agent_crashes: u8,
    /// How often the broker may be put back to any earlier state.
    pub restores: u8,
    /// How often a disk may be copied, and put back later.
    pub images: u8,
    /// Whether the agent may be cloned, at any time.
    pub clones: bool,
    /// How often a batch may be evicted.
    pub evictions: u8,
    /// How often a publish may vanish while its connection stays.
    pub vanished: u8,
}

/// Bounds with a name.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// What to call it by.
    pub name: &'static str,
    /// Small enough for every test run.
    pub is_small: bool,
    /// The bounds.
    pub bounds: Bounds,
}

const NOTHING: Bounds = Bounds {
    records: 3,
    open: 2,
    batch: 2,
    window: 2,
    wrap: 4,
    ring: 1,
    grace: 0,
    broker_crashes: 0,
    agent_crashes: 0,
    restores: 0,
    images: 0,
    clones: false,
    evictions: 0,
    vanished: 0,
};

/// From the link alone to two faults at once. Each is a space of its own: more of everything at
/// once would only be cut off earlier.
#[rustfmt::skip]
pub const PROFILES: &[Profile] = &[
    small("link",           Bounds { broker_crashes: 1, agent_crashes: 1, ..NOTHING }),
    small("lossy",          Bounds { records: 4, window: 3, vanished: 1, ..NOTHING }),
    small("wrap",           Bounds { records: 4, wrap: 2, vanished: 1, ..NOTHING }),
    small("evict",          Bounds { evictions: 2, vanished: 1, ..NOTHING }),
    small("crash-evict",    Bounds { records: 2, evictions: 1, broker_crashes: 1, agent_crashes: 1, ..NOTHING }),
    small("rollback",       Bounds { records: 2, images: 1, ..NOTHING }),
    small("rollback-evict", Bounds { records: 2, images: 1, evictions: 1, ..NOTHING }),
    small("restore",        Bounds { restores: 1, grace: 1, evictions: 1, ..NOTHING }),
    large("link-4",         Bounds { records: 4, broker_crashes: 1, agent_crashes: 1, ..NOTHING }),
    large("link-ring",      Bounds { records: 4, ring: 5, grace: 2, broker_crashes: 2, agent_crashes: 1, vanished: 1, ..NOTHING }),
    large("lossy-5",        Bounds { records: 5, window: 3, vanished: 2, ..NOTHING }),
    large("wrap-6",         Bounds { records: 6, open: 3, batch: 3, vanished: 1, ..NOTHING }),
    large("evict-4",        Bounds { records: 4, evictions: 2, vanished: 1, ..NOTHING }),
    large("rollback-3",     Bounds { images: 1, ..NOTHING }),
    large("rollback-twice", Bounds { images: 2, ..NOTHING }),
    large("rollback-wrap",  Bounds { records: 4, wrap: 2, images: 1, ..NOTHING }),
    large("rollback-evict-3", Bounds { images: 1, evictions: 1, ..NOTHING }),
    large("rollback-crash", Bounds { records: 2, images: 1, broker_crashes: 1, agent_crashes: 1, ..NOTHING }),
    large("clone",          Bounds { records: 2, clones: true, ..NOTHING }),
    large("clone-3",        Bounds { clones: true, ..NOTHING }),
    large("clone-evict",    Bounds { clones: true, evictions: 1, ..NOTHING }),
    large("restore-4",      Bounds { records: 4, restores: 1, grace: 1, evictions: 1, ..NOTHING }),
    large("restore-crash",  Bounds { restores: 1, grace: 1, broker_crashes: 1, agent_crashes: 1, ..NOTHING }),
    large("restore-rollback", Bounds { records: 2, restores: 1, images: 1, ..NOTHING }),
    large("restore-rollback-3", Bounds { restores: 1, images: 1, ..NOTHING }),
];

const fn small(name: &'static str, bounds: Bounds) -> Profile {
    Profile {
        name,
        is_small: true,
        bounds,
    }
}

const fn large(name: &'static str, bounds: Bounds) -> Profile {
    Profile {
        name,
        is_small: false,
        bounds,
    }
}
