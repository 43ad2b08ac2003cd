//! A publisher with a window.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::Shape;
use super::link::{self, Link, SILENCE_MAX};
use super::wire::{self, PUBACK, Qos, Template};

/// No broker is to queue without end: publishers wait while so many messages of each of them are
/// not delivered yet.
const AHEAD_MAX: usize = 1_000;

/// How far deliveries are.
#[derive(Debug, Default)]
pub(super) struct Lag {
    published: Cell<usize>,
    delivered: Cell<usize>,
    moved: Notify,
}

impl Lag {
    pub(super) fn delivered(&self, count: usize) {
        self.delivered.set(self.delivered.get() + count);
        self.moved.notify_waiters();
    }

    /// Waits until at most `most` deliveries are due, or none comes any more.
    async fn at_most(&self, most: usize) {
        while self.published.get().saturating_sub(self.delivered.get()) > most {
            if timeout(SILENCE_MAX, self.moved.notified()).await.is_err() {
                return;
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    template: Template,
    barrier: Template,
    shape: Shape,
    sent: usize,
    acked: usize,
    /// Acknowledgements that were not the one that was due.
    pub(super) unexpected: usize,
}

impl Publisher {
    pub(super) fn new(link: Link, number: usize, shape: Shape) -> Self {
        Self {
            link,
            template: Template::new(number, shape.qos),
            barrier: Template::new(number, Qos::One),
            shape,
            sent: 0,
            acked: 0,
            unexpected: 0,
        }
    }

    /// Number of its next message.
    pub(super) fn next(&self) -> usize {
        self.sent
    }

    /// Publishes `count` messages that reach `reach` subscribers each.
    pub(super) async fn run(
        mut self,
        count: usize,
        reach: usize,
        lag: Rc<Lag>,
    ) -> io::Result<Self> {
        match self.shape.qos {
            Qos::Zero => self.at_most_once(count).await?,
            Qos::One => self.at_least_once(count, reach, &lag).await?,
        }
        Ok(self)
    }

    async fn at_least_once(&mut self, count: usize, reach: usize, lag: &Lag) -> io::Result<()> {
        let mut buffer = link::buffer();
        let end = self.sent + count;
        while self.acked < end {
            while self.sent < end && self.sent - self.acked < self.shape.window {
                let id = wire::packet_id(self.sent);
                self.template
                    .encode(self.sent, Some(id), &mut self.link.out);
                self.sent += 1;
                lag.published.set(lag.published.get() + reach);
            }
            self.link.flush().await?;
            self.take_acks(&mut buffer).await?;
            lag.at_most(AHEAD_MAX * reach * self.shape.publishers).await;
        }
        Ok(())
    }

    /// The end is known by a last publish at QoS 1, which is acknowledged behind all others.
    async fn at_most_once(&mut self, count: usize) -> io::Result<()> {
        let end = self.sent + count;
        while self.sent < end {
            for number in self.sent..end.min(self.sent + self.shape.window) {
                self.template.encode(number, None, &mut self.link.out);
                self.sent += 1;
            }
            self.link.flush().await?;
        }
        let id = wire::packet_id(self.acked);
        self.barrier.encode(self.sent, Some(id), &mut self.link.out);
        self.link.flush().await?;
        let (mut buffer, due) = (link::buffer(), self.acked + 1);
        while self.acked < due {
            self.take_acks(&mut buffer).await?;
        }
        Ok(())
    }

    async fn take_acks(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (acked, unexpected) = (&mut self.acked, &mut self.unexpected);
        let each = |first: u8, body: &[u8], _: &mut Vec<u8>| {
            let due = wire::packet_id(*acked).to_be_bytes();
            *unexpected += usize::from(first >> 4 != PUBACK || body.get(..2) != Some(&due[..]));
            *acked += 1;
        };
        self.link.read(buffer, each).await
    }
}
