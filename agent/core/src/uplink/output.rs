use bytes::Bytes;
use headwater_wire::uplink::{Position, RepairReason};

use crate::handshake::ResumeAnswer;
use crate::lane::LaneName;

/// Which connection a question belongs to: an answer that comes later is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(pub(super) u64);

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection, clean start; answer with `handle_connected` or `handle_disconnected`.
    Connect,
    /// Drop the connection and all that its client holds. No answer is wanted.
    Disconnect,
    /// Hand this to the client: QoS 1, not retained.
    Publish {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Bytes,
    },
    /// Read the batch at `from`; answer with `handle_batch`.
    Read {
        /// For the answer.
        connection: ConnectionId,
        /// Which lane.
        lane: LaneName,
        /// First position of the batch.
        from: Position,
    },
    /// Give the log the broker's answer to `resume`; answer with `handle_handshake`.
    Handshake {
        /// For the answer.
        connection: ConnectionId,
        /// Which lane.
        lane: LaneName,
        /// What the broker said.
        answer: ResumeAnswer,
    },
    /// Have the log go on under the generation that the broker reserved; answer with
    /// `handle_repaired`.
    Repair {
        /// For the answer.
        connection: ConnectionId,
        /// Which lane.
        lane: LaneName,
        /// The reserved generation.
        generation: u32,
        /// Why.
        reason: RepairReason,
    },
    /// Tell the log that the broker holds everything below.
    Acknowledge {
        /// Which lane.
        lane: LaneName,
        /// First position that is not acknowledged.
        up_to: Position,
    },
    /// Have the log declare the batch at `first` lost, reason `refused`, before anything that
    /// comes after this.
    SetAside {
        /// Which lane.
        lane: LaneName,
        /// First position of the batch.
        first: Position,
    },
    /// Have the log give up all that the lane holds, reason `refused`: its stream does not exist,
    /// and nobody waits for it.
    GiveUp {
        /// Which lane.
        lane: LaneName,
    },
    /// Tell the log that the lane is held.
    Hold {
        /// Which lane.
        lane: LaneName,
        /// Why.
        error: String,
    },
    /// Tell the log that the lane is not held any more.
    Release {
        /// Which lane.
        lane: LaneName,
    },
    /// Tell the log whether batches can leave.
    Link(bool),
    /// Make the status and answer with `handle_status`.
    Status,
}
