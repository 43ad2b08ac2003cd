//! Answers to a socket, in vectored writes.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use headwater_kafka::Encoded;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::limits::Limits;
use crate::pace::{Pace, TAKING, TAKING_WHEN_SHORT};

/// How often it is looked whether a client that takes little is in others' way.
const LOOK: Duration = Duration::from_secs(1);
/// How long, and how much of what is unread, the end of a connection waits for its client.
const FAREWELL_MAX: Duration = Duration::from_millis(200);
const FAREWELL_READS_MAX: usize = 256;

/// Writes one answer.
///
/// # Errors
/// The connection broke, or the client takes it too slowly ([`TAKING`], and while others wait for
/// memory [`TAKING_WHEN_SHORT`]).
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Encoded,
    limits: &Limits,
) -> io::Result<()> {
    let mut pieces = Pieces {
        left: answer.total_bytes(),
        pieces: answer.pieces.into(),
    };
    let mut pace = Pace::new(TAKING);
    while pieces.has_remaining() {
        match timeout(LOOK, stream.write_buf(&mut pieces)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => pace.count(written?),
            Err(_) => {}
        }
        let patience = match limits.is_short_of_answers() {
            true => TAKING_WHEN_SHORT,
            false => TAKING,
        };
        if pace.is_over(patience) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    timeout(TAKING, stream.flush()).await?
}

/// Ends the connection so that the client gets all that was written: to close a socket with
/// something unread would reset it and throw away what is still on its way.
pub(super) async fn farewell(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut unread = [0; 4096];
    let ending = async {
        stream.shutdown().await?;
        for _ in 0..FAREWELL_READS_MAX {
            if stream.read(&mut unread).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong, the connection is over.
    drop(timeout(FAREWELL_MAX, ending).await);
}

/// Pieces of memory that are written as one.
struct Pieces {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [io::IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.pieces);
        filled
            .map(|(slice, piece)| *slice = io::IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut bytes: usize) {
        self.left -= bytes;
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > bytes {
                front.advance(bytes);
                return;
            }
            bytes -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::LimitsConfig;

    /// Takes at most three bytes a call, across pieces.
    struct Narrow(Vec<u8>);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let taken = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..taken]);
            std::task::Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> std::task::Poll<io::Result<usize>> {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.poll_write(context, &bytes)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            self.poll_flush(context)
        }
    }

    #[tokio::test]
    async fn partial_writes_lose_nothing() {
        let pieces: [&'static [u8]; 5] = [b"ab", b"c", b"defgh", b"i", b"jk"];
        let answer = Encoded {
            pieces: pieces.into_iter().map(Bytes::from_static).collect(),
        };
        let mut narrow = Narrow(Vec::new());
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        write(&mut narrow, answer, &limits)
            .await
            .expect("it takes all");
        assert_eq!(narrow.0, b"abcdefghijk");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up_sooner_when_others_wait() {
        for (taken, patience) in [(0, TAKING), (32 << 20, TAKING_WHEN_SHORT)] {
            let limits = Limits::new(&LimitsConfig::default(), Arc::default());
            let mut others = limits.reserve_answer();
            assert!(others.grow_to(taken));
            let (mut near, _far) = tokio::io::duplex(16);
            let answer = Encoded {
                pieces: vec![Bytes::from_static(&[0; 100])],
            };
            let begun = tokio::time::Instant::now();
            let error = write(&mut near, answer, &limits).await.expect_err("slow");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!((patience..patience + 2 * LOOK).contains(&begun.elapsed()));
        }
    }
}
