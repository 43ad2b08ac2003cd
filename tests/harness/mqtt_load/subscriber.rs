//! A subscriber that acknowledges what it gets and keeps a ledger for each publisher.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use super::ledger::{Books, Ledger};
use super::link::{self, Link};
use super::publisher::Lag;
use super::wire::{self, PUBLISH};

#[derive(Debug)]
pub(super) struct Subscriber {
    link: Link,
    ledgers: Vec<Ledger>,
    malformed: usize,
}

impl Subscriber {
    pub(super) fn new(link: Link, publishers: usize) -> Self {
        Self {
            link,
            ledgers: (0..publishers).map(|_| Ledger::default()).collect(),
            malformed: 0,
        }
    }

    /// Takes `expected` messages. If the broker stops to send before that, they count as lost.
    pub(super) async fn run(
        mut self,
        expected: usize,
        publishers: usize,
        lag: Rc<Lag>,
    ) -> io::Result<Self> {
        debug_assert_eq!(publishers, self.ledgers.len());
        let mut buffer = link::buffer();
        let mut got = 0;
        while got < expected {
            match self.take(&mut buffer).await {
                Ok(count) => {
                    got += count;
                    lag.delivered(count);
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    async fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (ledgers, malformed) = (&mut self.ledgers, &mut self.malformed);
        let mut count = 0;
        let each = |first: u8, body: &[u8], out: &mut Vec<u8>| {
            if first >> 4 != PUBLISH {
                return;
            }
            let Some((id, payload)) = wire::parse_publish(first, body) else {
                *malformed += 1;
                return;
            };
            if let Some(id) = id {
                out.extend([0x40, 2, id[0], id[1]]);
            }
            match wire::stamp(payload).filter(|(publisher, _)| *publisher < ledgers.len()) {
                Some((publisher, number)) => ledgers[publisher].note(number),
                None => *malformed += 1,
            }
            count += 1;
        };
        self.link.read(buffer, each).await?;
        self.link.flush().await?;
        Ok(count)
    }

    /// Messages of these publishers, `count` of each from `from` on: what came and what was wrong.
    pub(super) fn judge(&self, heard: Range<usize>, from: usize, count: usize) -> (usize, Books) {
        let mut books = Books {
            lost: self.malformed,
            ..Books::default()
        };
        let mut delivered = 0;
        for ledger in &self.ledgers[heard] {
            let (came, of_one) = ledger.judge(from..from + count);
            delivered += came;
            books += of_one;
        }
        (delivered, books)
    }
}
