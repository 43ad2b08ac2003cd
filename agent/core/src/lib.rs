//! What the agent decides: batches, lanes, the uplink window, what may be dropped.
//!
//! No file, socket, clock, thread or randomness is in here; the shell (`headwater-agent`) moves
//! the bytes. Where to begin:
//!
//! - [`batcher`]: when a batch is closed, and its bytes;
//! - [`lane`], [`handshake`], [`loss`]: positions, what the broker's answer to `resume` means, and
//!   how a loss is declared;
//! - [`uplink`]: the state machine of the connection, made of [`flight`] (what is under way),
//!   [`refusal`] (what an answer makes the agent do) and [`backoff`];
//! - [`retention`]: which segments of the log may go.

pub mod backoff;
pub mod batcher;
pub mod flight;
pub mod handshake;
pub mod lane;
pub mod loss;
pub mod rate;
pub mod refusal;
pub mod retention;
pub mod uplink;
