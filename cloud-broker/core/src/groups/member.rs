//! One member of a group.

use bytes::Bytes;
use headwater_wire::time::Millis;

use super::request::Join;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_ms: i32,
    pub(super) rebalance_ms: i32,
    /// Best first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Its JoinGroup that waits for the others: it is ready for the next generation.
    pub(super) joining: Option<u64>,
    /// Its SyncGroup that waits for the leader.
    pub(super) syncing: Option<u64>,
    /// It owes a SyncGroup since the generation began.
    pub(super) owes_sync: bool,
    /// It was not told its id yet: if its connection goes, nobody will come back for it.
    pub(super) nameless: bool,
    /// When its session ends, unless it waits for us.
    pub(super) deadline: Millis,
}

/// What a member is counted as beside what it says.
const MEMBER_BYTES: usize = 512;

impl Member {
    pub(super) fn new(id: String, join: &Join, now: Millis) -> Self {
        let mut member = Self {
            id,
            instance: join.instance.clone(),
            ..Self::default()
        };
        member.update(join);
        member.heard(now);
        member
    }

    /// Takes what the member says now. The bytes are copied: they are slices of whole requests.
    pub(super) fn update(&mut self, join: &Join) {
        let copied =
            |(name, bytes): &(String, Bytes)| (name.clone(), Bytes::copy_from_slice(bytes));
        self.client_id.clone_from(&join.client_id);
        self.client_host.clone_from(&join.client_host);
        (self.session_ms, self.rebalance_ms) = (join.session_ms, join.rebalance_ms);
        self.protocols = join.protocols.iter().map(copied).collect();
    }

    /// It gave a sign of life.
    pub(super) fn heard(&mut self, now: Millis) {
        self.deadline = now.plus(i64::from(self.session_ms));
    }

    /// When it is taken for dead; never while it waits for us.
    pub(super) fn expires(&self) -> Option<Millis> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (!waits).then_some(self.deadline)
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Its bytes for a protocol.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, String::len);
        let names = self.id.len() + instance + self.client_id.len() + self.client_host.len();
        MEMBER_BYTES + names + protocol_bytes(&self.protocols) + self.assignment.len()
    }
}

/// Bytes of what a member can do.
pub(super) fn protocol_bytes(protocols: &[(String, Bytes)]) -> usize {
    let one = |(name, bytes): &(String, Bytes)| 64 + name.len() + bytes.len();
    protocols.iter().map(one).sum()
}
