//! Frames from a socket, with memory that grows as they arrive.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headwater_kafka::{FrameTooLarge, LENGTH_BYTES, frame_bytes};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::sleep;

use crate::limits::{Limits, Reserved};

/// The least room that is made before reading.
const READ_BYTES_MIN: usize = 4 << 10;
/// The most room that is made before reading, however much was announced.
const READ_BYTES_MAX: usize = 1 << 20;
/// How often, and how many times, a frame asks again for memory that others hold.
const MEMORY_RETRY: Duration = Duration::from_millis(20);
const MEMORY_RETRIES: u32 = 250;

/// One request as it came, without its length, and the memory that it holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) reserved: Reserved,
}

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
    #[error("Connection ended inside a frame")]
    Truncated,
    #[error("No memory for a request of {0} bytes")]
    NoMemory(usize),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Cuts frames out of what a socket gives.
#[derive(Debug)]
pub(super) struct FrameReader {
    arrived: BytesMut,
    limits: Arc<Limits>,
    reserved: Reserved,
}

impl FrameReader {
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self {
            arrived: BytesMut::new(),
            limits: Arc::clone(limits),
            reserved: limits.reserve(),
        }
    }

    /// The next frame, `None` at an orderly end. May be dropped and called again: what has
    /// arrived stays.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        bytes_max: usize,
    ) -> Result<Option<Frame>, FrameError> {
        loop {
            let missing = match frame_bytes(&self.arrived, bytes_max)? {
                None => READ_BYTES_MIN,
                Some(bytes) => match (LENGTH_BYTES + bytes).checked_sub(self.arrived.len()) {
                    None | Some(0) => return Ok(Some(self.cut(bytes))),
                    Some(missing) => missing,
                },
            };
            self.make_room(missing).await?;
            if stream.read_buf(&mut self.arrived).await? == 0 {
                return match self.arrived.len() {
                    0 => Ok(None),
                    _ => Err(FrameError::Truncated),
                };
            }
        }
    }

    /// Room for what is missing, but never for more than has arrived so far.
    async fn make_room(&mut self, missing: usize) -> Result<(), FrameError> {
        let most = self.arrived.len().clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let room = missing.min(most);
        let bytes = self.arrived.len() + room;
        let mut retries = 0;
        while !self.reserved.grow_to(bytes) {
            if retries == MEMORY_RETRIES {
                return Err(FrameError::NoMemory(bytes));
            }
            retries += 1;
            sleep(MEMORY_RETRY).await;
        }
        self.arrived.reserve(room);
        Ok(())
    }

    fn cut(&mut self, bytes: usize) -> Frame {
        let mut frame = self.arrived.split_to(LENGTH_BYTES + bytes).freeze();
        let reserved = std::mem::replace(&mut self.reserved, self.limits.reserve());
        if self.arrived.is_empty() {
            // Lets go of the frame's memory, which would otherwise stay with this connection.
            self.arrived = BytesMut::new();
        }
        Frame {
            bytes: frame.split_off(LENGTH_BYTES),
            reserved,
        }
    }
}
