//! MQTT 3.1.1 and 5: every packet, parsed and encoded without I/O, state or clock.
//!
//! A connection's bytes go through [`frame()`], which finds where a packet ends, and [`parse`], which
//! checks it against the specification and returns a [`Packet`] that borrows from those bytes. No
//! parser allocates; whoever wants to keep a part takes it with `Bytes::slice_ref`.
//! Encoders append to a `BytesMut`.
//!
//! What belongs to one packet alone is checked here, strictly. What depends on the packets before it
//! (known topic aliases, receive maximum, unexpected acknowledgements) belongs to the session.
//!
//! Source: OASIS MQTT 3.1.1 (2014-10-29) and MQTT 5.0 (2019-03-07). Clauses are named `MQTT-3.1.2-1`
//! as in the specification of version 5, and those of 3.1.1 alone `MQTT3-3.1.2-1`.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod frame;
mod packet;
mod properties;
mod property;
mod publish;
mod read;
mod reason;
mod subscribe;
pub mod topic;
mod unsubscribe;
mod write;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use frame::{Frame, Kind, PACKET_BYTES_MAX, frame};
pub use packet::{Packet, Sender, Version, parse};
pub use properties::{Properties, PropertyBuf};
pub use property::{Form, Id, Place, Property, Spec, TABLE, Value};
pub use publish::{Publish, PublishHead, Qos};
pub use reason::{Bad, Reason};
pub use subscribe::{FilterBuf, Filters, Options, RetainHandling, SubAck, Subscribe};
pub use unsubscribe::{TopicBuf, Topics, UnsubAck, Unsubscribe};
pub use write::TooLong;

#[cfg(test)]
mod tests;
