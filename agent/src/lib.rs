//! The agent on the device: sources, the durable log, the uplink.
//!
//! The way of an event: a [`sources`] file hands it to its [`sources::Intake`], which puts it
//! into the [`log`]; after the synced commit the source answers its sensor. The [`uplink`] sends
//! what the log has sealed, batch by batch, and tells the log what the broker acknowledged.
//! [`run`] ties them together, [`http`] and [`commands`] show what goes on.

pub mod clock;
pub mod commands;
pub mod config;
pub mod device;
mod fields;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod log;
pub mod run;
pub mod sources;
pub mod status;
pub mod uplink;
