//! What there is: agents with their disks and connections, the broker with its log, and a book of
//! what really happened, which no program sees.

/// Generations of the lane that are followed.
pub(super) const GENERATIONS: u8 = 4;
/// Entries of the broker's log that are followed.
const LOG_MAX: usize = 14;
/// In place of a record, at a position that was left out and holds none.
pub(super) const NO_RECORD: u8 = u8::MAX;

/// A set of records.
pub(super) type Records = u16;

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// One agent, or two after a clone.
    pub agents: Vec<Agent>,
    /// The broker.
    pub broker: Broker,
    /// What really happened.
    pub book: Book,
    /// How often each fault came.
    pub faults: Faults,
}

/// An agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// What survives a crash.
    pub disk: Disk,
    /// An older copy of the disk.
    pub image: Option<Box<Disk>>,
    /// How far the connection has come.
    pub phase: Phase,
    /// The connection is broken and the agent has not noticed.
    pub is_broken: bool,
    /// Position to be sent next.
    pub cursor: u8,
    /// Entries at the end that a crash takes, with [`super::Mistake::SendsBeforeSync`] only.
    pub unsynced: u8,
    /// Published on this connection, not yet with the broker.
    pub sent: Vec<Publish>,
    /// Published on the connection before, and may still arrive.
    pub late: Vec<Publish>,
    /// The broker's answers on this connection, with the length that its log must durably have
    /// before each may leave.
    pub answers: Vec<(u8, Answer)>,
}

/// An agent's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Generation of the lane.
    pub generation: u8,
    /// A generation was taken without a word to the broker.
    pub is_unreported: bool,
    /// Records of the open tail, behind the last entry.
    pub open: Vec<u8>,
    /// Batches and declared losses, one after the other from position 0 on.
    pub entries: Vec<Entry>,
    /// End and CRC of entries that are gone and that the broker may name.
    pub remembered: Vec<(u8, u32)>,
}

/// A batch, or a loss in its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// First position.
    pub first: u8,
    /// What it holds, or held, position by position.
    pub records: Vec<u8>,
    /// Number of the loss batch that lies here instead.
    pub loss: Option<u8>,
    /// It was handed to a connection.
    pub was_sent: bool,
    /// What the agent knows of it.
    pub keep: Keep,
}

/// What the agent knows of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// It lies here, and the broker may not have it.
    Held,
    /// It lies here, and the broker has it; a crash forgets that.
    Acked,
    /// It is gone: the broker had it.
    Trimmed,
    /// It is gone, and no loss is declared yet.
    Evicted,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is none.
    #[default]
    Down,
    /// `resume` was sent.
    Resuming,
    /// Batches are sent.
    Up,
    /// The handshake showed another history.
    Forked,
    /// `repair` was sent.
    Repairing,
}

/// A batch or a declared loss on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Publish {
    /// Generation of its producer id.
    pub generation: u8,
    /// First position.
    pub first: u8,
    /// What it holds, or declares lost.
    pub records: Vec<u8>,
    /// Number of the loss, if it is one.
    pub loss: Option<u8>,
}

/// What the broker says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `resume`: next position, CRC of the entry before it.
    Resumed(u8, Option<u32>),
    /// The entry up to this position lies in the log, now or for long.
    Taken {
        /// Position that follows it.
        next: u8,
        /// It lay there already.
        is_duplicate: bool,
    },
    /// Refused.
    Refused(headwater_wire::uplink::Refusal),
    /// To `repair`: the generation reserved.
    Repaired(u8),
}

/// The broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Broker {
    /// The lane's partition.
    pub log: Vec<Logged>,
    /// Entries of the log that are durable.
    pub durable: u8,
    /// Which connection opened each generation last.
    pub holders: [Option<Holder>; GENERATIONS as usize],
    /// Entries that the lanes' state does not know, for mistakes only.
    pub unknown: Records,
    /// Entries whose state, or whose loss record, is durable on its own account, for mistakes only.
    pub apart: u8,
}

/// A connection as the broker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Whose.
    pub agent: u8,
    /// The agent has ended it; what it had sent may still come.
    pub is_late: bool,
}

/// An entry of the partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Logged {
    /// A batch or a declared loss.
    Entry(Publish),
    /// The report that this generation goes on.
    Report(u8),
}

/// What really happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Book {
    /// Number of the record that a source offers next.
    pub next: u8,
    /// Acknowledged to their source.
    pub acked: Records,
    /// Taken by the second agent.
    pub by_clone: Records,
    /// Whoever held them lost them: no program can know.
    pub excused: Records,
    /// A repair may send them a second time.
    pub restamped: Records,
    /// Evicted, or lost with a disk: may be declared lost.
    pub may_be_lost: Records,
    /// There was a repair.
    pub was_repaired: bool,
    /// Losses made.
    pub losses: u8,
}

/// How often each fault came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// The broker lost what was not durable.
    pub broker_crashes: u8,
    /// The broker went back to a backup.
    pub restores: u8,
    /// An agent lost its memory.
    pub agent_crashes: u8,
    /// A disk was copied.
    pub images: u8,
    /// A disk was put back.
    pub rollbacks: u8,
    /// A batch was given up.
    pub evictions: u8,
    /// A publish vanished from a connection that stayed.
    pub vanished: u8,
    /// With [`super::Mistake::ForgetsLane`]: it did.
    pub forgotten: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            agents: vec![Agent::default()],
            broker: Broker::default(),
            book: Book::default(),
            faults: Faults::default(),
        }
    }
}

impl State {
    pub(super) fn is_within_bounds(&self) -> bool {
        let is_known = |agent: &Agent| agent.disk.generation < GENERATIONS;
        self.broker.highest() < GENERATIONS
            && self.broker.log.len() <= LOG_MAX
            && self.agents.iter().all(is_known)
    }
}

impl State {
    /// Whether an agent has to end its connection, and does: it is broken, or it is silent.
    #[must_use]
    pub fn must_cut(&self, agent: u8) -> bool {
        let agent = &self.agents[usize::from(agent)];
        let is_silent = agent.sent.is_empty() && agent.answers.is_empty();
        agent.is_broken || (is_silent && matches!(agent.phase, Phase::Up | Phase::Repairing))
    }
}

impl Entry {
    /// Position that follows it.
    pub(super) fn end(&self) -> u8 {
        self.first + length(&self.records)
    }
}

impl Publish {
    /// Position that follows it.
    pub(super) fn end(&self) -> u8 {
        self.first + length(&self.records)
    }
}

/// One record as a set.
pub(super) fn set_of(record: u8) -> Records {
    if record == NO_RECORD { 0 } else { 1 << record }
}

/// These records as a set.
pub(super) fn set<'a>(records: impl IntoIterator<Item = &'a u8>) -> Records {
    records
        .into_iter()
        .fold(0, |set, record| set | set_of(*record))
}

fn length(records: &[u8]) -> u8 {
    u8::try_from(records.len()).expect("a few records")
}
