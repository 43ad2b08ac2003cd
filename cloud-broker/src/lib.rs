//! The cloud broker: MQTT, Kafka and HTTP doors over one log.
//!
//! Where to begin: [`run()`] puts the parts together and ends them; [`door::Door`] is what each
//! protocol's door is given; `backend` is the log that they share. One request travels
//! door → `validate` → `backend` → journal, and its answer the same way back.

pub mod accept;
pub mod auth;
pub mod backend;
pub mod cert;
mod clock;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod door;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod inspect;
pub mod kafka;
pub mod limits;
pub mod metrics;
pub mod mqtt;
pub mod pace;
pub mod presence;
pub mod run;
mod start;
pub mod tls;
pub mod validate;

pub use config::Config;
pub use run::{Handle, RunError, run};
