//! Everything that was asked of a store, in one order, and what came of it: what an oracle
//! judges, and what a replayed seed prints.

use std::fmt;

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::format::chunk::Header;
use crate::ids::{Incarnation, Nonce};
use crate::traits::{Damage, Slot};

/// One call, or a write that lands after its caller was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Which life of the process asked, from 1.
    pub life: u32,
    /// What was asked.
    pub call: Call,
    /// What the caller was told.
    pub told: Told,
    /// Whether a write took effect; none if nobody knows, because the disk below it failed.
    pub applied: Option<bool>,
    /// Nobody is told: it was asked before, answered with `Unknown`, and lands now.
    pub late: bool,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A chunk or tombstone for a slot.
    Put {
        /// Where.
        slot: Slot,
        /// Of the frame.
        header: Header,
        /// All of it.
        frame: Bytes,
    },
    /// Bytes of a slot.
    Get {
        /// Of which.
        slot: Slot,
    },
    /// A journal, from a slot on.
    Scan {
        /// Whose.
        inc: Incarnation,
        /// First slot.
        from: u64,
        /// Frames that were found: slot and identity.
        found: Vec<(u64, Nonce)>,
        /// What was found to be damaged.
        damage: Vec<Damage>,
    },
    /// Slots below `seq` are given up.
    DeleteBelow {
        /// Whose.
        inc: Incarnation,
        /// First that is kept.
        seq: u64,
    },
    /// The first value of a register.
    Create {
        /// Which.
        name: String,
        /// What.
        value: Bytes,
    },
    /// Another value in place of the one that was read.
    Cas {
        /// Which.
        name: String,
        /// What.
        value: Bytes,
    },
    /// A register.
    Read {
        /// Which.
        name: String,
    },
    /// A blob.
    PutNew {
        /// Its name.
        name: String,
        /// All of it.
        bytes: Bytes,
    },
    /// Bytes for a blob that is being written.
    Part {
        /// Its name, once it is finished.
        name: String,
        /// How many.
        bytes: u64,
    },
    /// Bytes of a blob, or their number.
    GetBlob {
        /// Its name.
        name: String,
    },
    /// A blob goes.
    Delete {
        /// Its name.
        name: String,
    },
    /// Names of blobs or registers.
    List {
        /// With which they begin.
        prefix: String,
    },
}

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done,
    /// A conditional write met something else.
    Theirs,
    /// Nobody knows.
    Unknown,
    /// It failed.
    Failed(ErrorKind),
    /// The process died of it.
    Died,
    /// Nothing: the write is late.
    Nothing,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "life {} {} -> {:?}", self.life, self.call, self.told)?;
        let late = if self.late { ", late" } else { "" };
        match self.applied {
            Some(true) => write!(f, ", applied{late}"),
            Some(false) => write!(f, ", not applied{late}"),
            None => f.write_str(late),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { slot, header, .. } => {
                let what = if header.tombstone { "end" } else { "put" };
                let (entries, bytes) = (header.batches, header.frame_bytes());
                write!(f, "{what} {slot} ({entries} batches, {bytes} bytes)")
            }
            Self::Get { slot } => write!(f, "get {slot}"),
            Self::Scan {
                inc,
                from,
                found,
                damage,
            } => {
                let (found, damaged) = (found.len(), damage.len());
                write!(
                    f,
                    "scan {inc} from {from}: {found} frames, {damaged} damages"
                )
            }
            Self::DeleteBelow { inc, seq } => write!(f, "delete {inc} below {seq}"),
            Self::Create { name, .. } => write!(f, "create {name}"),
            Self::Cas { name, .. } => write!(f, "cas {name}"),
            Self::Read { name } => write!(f, "read {name}"),
            Self::PutNew { name, bytes } => write!(f, "put {name} ({} bytes)", bytes.len()),
            Self::Part { name, bytes } => write!(f, "{bytes} bytes for {name}"),
            Self::GetBlob { name } => write!(f, "get {name}"),
            Self::Delete { name } => write!(f, "delete {name}"),
            Self::List { prefix } => write!(f, "list {prefix}"),
        }
    }
}
