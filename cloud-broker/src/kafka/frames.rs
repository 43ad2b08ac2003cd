//! Frames from a socket, with memory that grows as they arrive.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use headwater_kafka::{FrameTooLarge, LENGTH_BYTES, frame_bytes};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{Limits, Reserved};
use crate::pace::{ARRIVAL, Pace, TooSlow};

/// The least room that is made before reading.
const READ_BYTES_MIN: usize = 4 << 10;
/// The most room that is made before reading, however much was announced.
const READ_BYTES_MAX: usize = 1 << 20;

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
    #[error("A request arrives too slowly: {0}")]
    TooSlow(#[from] TooSlow),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Cuts frames out of what a socket gives.
#[derive(Debug)]
pub(super) struct FrameReader {
    arrived: BytesMut,
    limits: Arc<Limits>,
    reserved: Reserved,
    /// Of the frame that has begun.
    pace: Option<Pace>,
}

impl FrameReader {
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self {
            arrived: BytesMut::new(),
            limits: Arc::clone(limits),
            reserved: limits.reserve(),
            pace: None,
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
            match self.read(stream).await? {
                0 if self.arrived.is_empty() => return Ok(None),
                0 => return Err(FrameError::Truncated),
                _ => {}
            }
        }
    }

    /// Waits as long as it takes for a frame to begin, but not for its rest.
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<usize, FrameError> {
        if self.arrived.is_empty() {
            self.pace = None;
            return Ok(stream.read_buf(&mut self.arrived).await?);
        }
        let pace = self.pace.get_or_insert_with(|| Pace::new(ARRIVAL));
        let bytes = pace.next(stream.read_buf(&mut self.arrived)).await??;
        pace.count(bytes);
        Ok(bytes)
    }

    /// Room for what is missing, but never for more than has arrived so far.
    async fn make_room(&mut self, missing: usize) -> Result<(), FrameError> {
        let most = self.arrived.len().clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let room = missing.min(most);
        let bytes = self.arrived.len() + room;
        if !self.reserved.wait_for(bytes).await {
            return Err(FrameError::NoMemory(bytes));
        }
        self.arrived.reserve(room);
        Ok(())
    }

    fn cut(&mut self, bytes: usize) -> Frame {
        let mut frame = self.arrived.split_to(LENGTH_BYTES + bytes).freeze();
        let reserved = std::mem::replace(&mut self.reserved, self.limits.reserve());
        self.pace = None;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::time::sleep;

    use super::*;
    use crate::config::LimitsConfig;

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_trickles_in_is_given_up() {
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        let mut frames = FrameReader::new(&limits);
        let (mut near, mut far) = tokio::io::duplex(64);
        let client = tokio::spawn(async move {
            // An idle client is no slow one.
            sleep(Duration::from_secs(500)).await;
            far.write_all(&1_000_000_u32.to_be_bytes()).await?;
            loop {
                sleep(Duration::from_secs(1)).await;
                far.write_all(&[0]).await?;
            }
            #[expect(unreachable_code, reason = "says what the block gives")]
            io::Result::Ok(())
        });
        let read = frames.next(&mut near, usize::MAX).await;
        assert!(matches!(read, Err(FrameError::TooSlow(_))), "{read:?}");
        client.abort();
    }
}
