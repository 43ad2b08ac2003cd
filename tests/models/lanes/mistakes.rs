//! Protocols that are wrong in one point. Each was once thought of, or is what others do.

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The broker takes a batch from a connection that does not hold the lane.
    NoFence,
    /// Success is answered before the entry is durable.
    AckEarly,
    /// A handshake's position does not wait for the entries that it speaks of.
    ResumeEarly,
    /// The broker removes what it remembers and appends everything else, as Kafka does for a
    /// producer that it has forgotten.
    RingOnly,
    /// The broker takes a batch beyond the next position.
    SkipsGap,
    /// A lane's position expires.
    ForgetsLane,
    /// A lane's position is stored apart from the entry that moves it.
    StateApart,
    /// A loss moves the position, and its record is stored apart.
    LossApart,
    /// The broker takes a loss wherever it begins.
    BlindLoss,
    /// A batch that does not fit before the wrap goes behind it, and nobody declares the hole.
    HoleAtWrap,
    /// The agent drops a batch once it is sent.
    TrimsOnSending,
    /// The agent sends what a crash can still take from its disk.
    SendsBeforeSync,
    /// The agent does not compare CRCs.
    NoCrc,
    /// The agent forgets the headers of what it trims and evicts.
    NoHeaders,
    /// A repair leaves out what was evicted and is not declared.
    DropsEvicted,
    /// The agent takes the next generation without a word, and tells the broker later, if at all.
    ReportsLater,
    /// A handshake does not name the generation that the lane's repairs.
    NoPredecessor,
    /// The new generation is durable before the batches are stamped with it.
    TornRepair,
    /// Batches are stamped anew across the end of an epoch.
    AcrossWrap,
    /// The next position is forgotten when all batches are trimmed.
    ForgetsPosition,
    /// Recovery keeps records of the open tail that lie in a sealed batch.
    KeepsSealed,
    /// What was acknowledged once is never declared, though the broker may have been restored.
    AckedForEver,
    /// A loss batch is not stored, and made anew when it is sent again.
    RemakesLoss,
}

/// All of them, each with the profile in which it is found.
#[rustfmt::skip]
pub const MISTAKES: &[(Mistake, &str, &str)] = &[
    (Mistake::NoFence,         "no-fence",          "rollback-3"),
    (Mistake::AckEarly,        "ack-early",         "link"),
    (Mistake::ResumeEarly,     "resume-early",      "link"),
    (Mistake::RingOnly,        "ring-only",         "lossy"),
    (Mistake::SkipsGap,        "skips-gap",         "lossy"),
    (Mistake::ForgetsLane,     "forgets-lane",      "link"),
    (Mistake::StateApart,      "state-apart",       "link"),
    (Mistake::LossApart,       "loss-apart",        "crash-evict"),
    (Mistake::BlindLoss,       "blind-loss",        "evict"),
    (Mistake::HoleAtWrap,      "hole-at-wrap",      "wrap"),
    (Mistake::TrimsOnSending,  "trims-on-sending",  "link"),
    (Mistake::SendsBeforeSync, "sends-before-sync", "link"),
    (Mistake::NoCrc,           "no-crc",            "rollback"),
    (Mistake::NoHeaders,       "no-headers",        "link"),
    (Mistake::DropsEvicted,    "drops-evicted",     "rollback-evict"),
    (Mistake::ReportsLater,    "reports-later",     "rollback-crash"),
    (Mistake::NoPredecessor,   "no-predecessor",    "restore-rollback"),
    (Mistake::TornRepair,      "torn-repair",       "rollback"),
    (Mistake::AcrossWrap,      "across-wrap",       "rollback-wrap"),
    (Mistake::ForgetsPosition, "forgets-position",  "link"),
    (Mistake::KeepsSealed,     "keeps-sealed",      "link"),
    (Mistake::AckedForEver,    "acked-for-ever",    "restore"),
    (Mistake::RemakesLoss,     "remakes-loss",      "evict"),
];
