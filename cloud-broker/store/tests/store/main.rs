//! The local engine on a disk that fails, and on the real one.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod blobs;
mod calls;
mod crash;
mod damage;
mod faults;
mod golden;
mod real;
mod recycle;
mod registers;
mod segments;
mod slots;
mod support;
