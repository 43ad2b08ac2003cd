//! What the scenarios share: a generator of sensor events, real processes with their ready
//! lines, a proxy that can hold answers back or cut a link, plain clients, and an oracle.

pub mod agent_log;
pub mod backlog;
pub mod behind;
pub mod broker;
pub mod command;
pub mod consume;
pub mod cut;
pub mod edge;
pub mod events;
pub mod hostile;
pub mod http;
pub mod kafka_load;
pub mod kills;
pub mod lines;
pub mod load;
#[path = "../models/mod.rs"]
pub mod models;
pub mod mqtt_load;
pub mod offline;
pub mod oracle;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod rng;
pub mod small_disk;
pub mod source;
pub mod stack;
pub mod strace;
pub mod uplink;
