//! What clients ask of a group, and what they are told.

use bytes::Bytes;

use crate::StreamId;

/// A request, whatever its protocol version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Become a member, or stay one in the next generation; may wait for the others.
    Join(Join),
    /// Fetch, or as the leader give, the assignment; may wait for the leader.
    Sync(Sync),
    /// Still there.
    Heartbeat(Caller),
    /// Members go.
    Leave(Leave),
    /// Remember positions.
    Commit(Commit),
    /// Positions: all, or of these partitions.
    Fetch {
        /// The group.
        group: String,
        /// By stream and partition; `None` = all.
        wanted: Option<Vec<(StreamId, u32)>>,
    },
    /// All groups.
    List,
    /// One group.
    Describe {
        /// The group.
        group: String,
    },
    /// Forget groups without members.
    Delete {
        /// The groups.
        groups: Vec<String>,
    },
    /// Forget positions.
    DeleteOffsets {
        /// The group.
        group: String,
        /// By stream and partition; the name is the stream's, to see who subscribes to it.
        partitions: Vec<(StreamId, u32, String)>,
    },
}

/// A member as it names itself, with the generation that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The group.
    pub group: String,
    /// The generation; -1 for none.
    pub generation: i32,
    /// The member's id; empty for none.
    pub member: String,
    /// What a static member is called in its configuration.
    pub instance: Option<String>,
}

/// JoinGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// The group.
    pub group: String,
    /// The id that the member was given; empty for none.
    pub member: String,
    /// What a static member is called in its configuration.
    pub instance: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it comes from, for people.
    pub client_host: String,
    /// Ends the id of a member that gets one: nobody can guess it, and it was never given before.
    pub fresh: String,
    /// The member is gone if nothing is heard of it for so long, ms.
    pub session_ms: i32,
    /// How long a rebalance waits for the member, ms.
    pub rebalance_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// What the member can do, best first: name and the bytes that the leader gets.
    pub protocols: Vec<(String, Bytes)>,
    /// The client learns its id first, and joins with it (from version 4).
    pub id_required: bool,
    /// The client understands that there is nothing to assign (from version 9).
    pub may_skip_assignment: bool,
}

/// SyncGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// Who asks.
    pub caller: Caller,
    /// What it takes the group's protocol type for (from version 5).
    pub protocol_type: Option<String>,
    /// What it takes the chosen protocol for (from version 5).
    pub protocol: Option<String>,
    /// By member; only the leader has any.
    pub assignments: Vec<(String, Bytes)>,
}

/// LeaveGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// The group.
    pub group: String,
    /// Member and instance of each.
    pub members: Vec<(String, Option<String>)>,
}

/// OffsetCommit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Who asks; generation -1 and no member for somebody outside the group.
    pub caller: Caller,
    /// By stream and partition.
    pub offsets: Vec<(StreamId, u32, Position)>,
}

/// How far a group has come in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the record before it; -1 for none.
    pub leader_epoch: i32,
    /// The client's own words, kept as they are.
    pub metadata: String,
}

/// What is answered. One that waits for something durable comes only when that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Join`].
    Join(Result<Joined, JoinRefused>),
    /// To [`Request::Sync`].
    Sync(Result<Synced, GroupError>),
    /// To [`Request::Heartbeat`].
    Heartbeat(Result<(), GroupError>),
    /// To [`Request::Leave`]: by member as asked.
    Leave(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`Request::Commit`]: by partition as asked.
    Commit(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`Request::Fetch`]: those that are known, by stream and partition.
    Fetch(Vec<((StreamId, u32), Position)>),
    /// To [`Request::List`], by name.
    List(Vec<Listed>),
    /// To [`Request::Describe`]; `None` if there is no such group.
    Describe(Option<Described>),
    /// To [`Request::Delete`]: by group as asked.
    Delete(Vec<Result<(), GroupError>>),
    /// To [`Request::DeleteOffsets`]: by partition as asked.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
}

/// A member of the new generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Number of the generation.
    pub generation: i32,
    /// As the members said.
    pub protocol_type: String,
    /// The protocol that all members understand.
    pub protocol: String,
    /// The member that gives out the assignment.
    pub leader: String,
    /// The member that asked.
    pub member: String,
    /// The leader need not give out anything: the assignment that there is stays.
    pub skip_assignment: bool,
    /// All members, for the leader alone: id, instance, the protocol's bytes.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// Why somebody is not a member of the new generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// The reason.
    pub error: GroupError,
    /// The id to join with, if it is [`GroupError::MemberIdRequired`]; otherwise as it was asked.
    pub member: String,
}

/// A member's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// As the members said.
    pub protocol_type: String,
    /// The chosen protocol.
    pub protocol: String,
    /// As the leader gave it; empty if it gave none.
    pub assignment: Bytes,
}

/// One group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub group: String,
    /// As its members said; empty if it never had any.
    pub protocol_type: String,
    /// Where it stands.
    pub state: GroupState,
    /// How many members it has.
    pub members: usize,
}

/// One group in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// As in a list.
    pub listed: Listed,
    /// The chosen protocol; empty unless the group is stable.
    pub protocol: String,
    /// By id.
    pub members: Vec<DescribedMember>,
}

/// One member in detail. Metadata and assignment are empty unless the group is stable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub id: String,
    /// What a static member is called in its configuration.
    pub instance: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// Where a group stands. One that is not known is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Without members; positions may be there.
    Empty,
    /// The members join the next generation.
    PreparingRebalance,
    /// The generation is complete and waits for its leader's assignment.
    CompletingRebalance,
    /// Every member has its part.
    Stable,
}

impl Request {
    /// The answer while no more can be written, to a request that would write something.
    pub(super) fn busy(&self) -> Option<Answer> {
        let error = GroupError::Busy;
        match self {
            Self::Join(Join { member, .. }) => {
                let member = member.clone();
                Some(Answer::Join(Err(JoinRefused { error, member })))
            }
            // Here Kafka's clients know no other word for it.
            Self::Sync(sync) if !sync.assignments.is_empty() => {
                Some(Answer::Sync(Err(GroupError::NotAvailable)))
            }
            Self::Commit(_) => Some(Answer::Commit(Err(error))),
            Self::Delete { groups } => Some(Answer::Delete(vec![Err(error); groups.len()])),
            Self::DeleteOffsets { .. } => Some(Answer::DeleteOffsets(Err(error))),
            Self::Sync(_)
            | Self::Heartbeat(_)
            | Self::Leave(_)
            | Self::Fetch { .. }
            | Self::List
            | Self::Describe { .. } => None,
        }
    }
}

/// Why a request is refused; the doors know the number of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// What should be remembered cannot be written now; ask again.
    #[error("The group's state cannot be written now")]
    NotAvailable,
    /// Too much is being written already; ask again.
    #[error("Too much is being written, try again")]
    Busy,
    /// The group's name is empty or too long.
    #[error("The group's name is not legal")]
    InvalidGroup,
    /// There is no member of this id.
    #[error("There is no such member")]
    UnknownMember,
    /// Another process has taken the static member's place.
    #[error("Another process has this instance id")]
    Fenced,
    /// Join again with the id that is given.
    #[error("Join again with the member id that was given")]
    MemberIdRequired,
    /// The generation is over, or never was.
    #[error("The generation is not the current one")]
    IllegalGeneration,
    /// The members are to join again.
    #[error("The group rebalances")]
    Rebalancing,
    /// No protocol is left that all members understand.
    #[error("The members have no protocol in common")]
    InconsistentProtocol,
    /// The session timeout is out of range.
    #[error("The session timeout is out of range")]
    InvalidSession,
    /// No more members, groups or bytes.
    #[error("The limit of groups or members is reached")]
    Full,
    /// An assignment is larger than a group may be.
    #[error("The assignment is too large")]
    AssignmentTooLarge,
    /// The commit names too many positions, or there is no room for them.
    #[error("The commit has too many positions")]
    CommitTooLarge,
    /// A position's metadata is too long.
    #[error("The metadata of the position is too long")]
    MetadataTooLarge,
    /// There is no such group.
    #[error("There is no such group")]
    NotFound,
    /// The group has members.
    #[error("The group has members")]
    NotEmpty,
    /// A member reads this stream.
    #[error("A member of the group reads this stream")]
    Subscribed,
}

impl GroupState {
    /// The state's name in Kafka's protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}
