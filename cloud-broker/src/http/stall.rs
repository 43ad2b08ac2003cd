//! A connection whose client must keep reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;
use crate::pace::{Pace, TAKING, TAKING_WHEN_SHORT};

/// Ends with an error once a client has taken what waits for it too slowly ([`TAKING`]), sooner
/// while memory for answers is short: a reader that does not read holds a place, buffers and its
/// cursor for no longer than that.
#[derive(Debug)]
pub(super) struct Stall<S> {
    inner: S,
    limits: Arc<Limits>,
    /// When it is looked again.
    look: Pin<Box<Sleep>>,
    /// There while the client is behind.
    pace: Option<Pace>,
}

impl<S> Stall<S> {
    /// Watches over `inner`.
    pub(super) fn new(inner: S, limits: Arc<Limits>) -> Self {
        let look = Box::pin(tokio::time::sleep(TAKING_WHEN_SHORT));
        Self {
            inner,
            limits,
            look,
            pace: None,
        }
    }

    /// Passes on what a write of `offered` bytes said, and begins or ends to wait.
    fn watch(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) if *bytes < offered => {
                self.pace.iter_mut().for_each(|pace| pace.count(*bytes));
                return written;
            }
            Poll::Ready(_) => {
                self.pace = None;
                return written;
            }
            Poll::Pending => {}
        }
        let pace = self.pace.get_or_insert_with(|| {
            let look = Instant::now() + TAKING_WHEN_SHORT;
            self.look.as_mut().reset(look);
            Pace::new(TAKING)
        });
        loop {
            let patience = match self.limits.is_short_of_answers() {
                true => TAKING_WHEN_SHORT,
                false => TAKING,
            };
            if pace.is_over(patience) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(self.look.as_mut().poll(context));
            self.look.as_mut().reset(Instant::now() + TAKING_WHEN_SHORT);
        }
    }

    fn watch_end(
        &mut self,
        ended: Poll<io::Result<()>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let ended = self.watch(ended.map_ok(|()| 0), 0, context);
        ended.map_ok(drop)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(written, bytes.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.watch(written, offered, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.watch_end(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch_end(closed, context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::config::LimitsConfig;

    fn limits() -> Arc<Limits> {
        Limits::new(&LimitsConfig::default(), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_reading_is_given_up() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Stall::new(near, limits());
        near.write_all(&[0; 16]).await.expect("room");
        let begun = Instant::now();
        let error = near.write_all(&[0; 1]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= TAKING);
        let mut read = [0; 16];
        far.read_exact(&mut read).await.expect("what was written");
    }

    #[tokio::test(start_paused = true)]
    async fn sooner_if_others_wait_for_memory() {
        let limits = limits();
        let mut others = limits.reserve_answer();
        assert!(others.grow_to(32 << 20));
        let (near, _far) = tokio::io::duplex(16);
        let mut near = Stall::new(near, Arc::clone(&limits));
        let begun = Instant::now();
        near.write_all(&[0; 17]).await.expect_err("nobody reads");
        assert!(begun.elapsed() < 3 * TAKING_WHEN_SHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_a_byte_a_second_is_too_slow() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Stall::new(near, limits());
        let reader = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        near.write_all(&[0; 10_000]).await.expect_err("too slow");
        drop(near);
        reader.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_all_in_the_end_is_not() {
        let (near, mut far) = tokio::io::duplex(4096);
        let mut near = Stall::new(near, limits());
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                far.read_exact(&mut [0; 4096]).await.expect("more");
            }
        });
        near.write_all(&[0; 40_960])
            .await
            .expect("all is read in the end");
        reader.await.expect("all read");
    }
}
