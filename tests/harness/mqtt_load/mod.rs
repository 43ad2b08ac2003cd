//! One MQTT 3.1.1 client program for every broker that is compared: publishers with a window,
//! subscribers that check what they get, on one thread, with payloads of 256 bytes.

mod connect;
mod ledger;
mod link;
mod publisher;
mod subscriber;
mod wire;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

pub use connect::{Crowd, Idle};
pub use ledger::Books;
pub use wire::{PAYLOAD_BYTES, Qos};

use link::Link;
use publisher::{Lag, Publisher};
use subscriber::Subscriber;

/// Who publishes what to whom.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Of publishes and subscriptions.
    pub qos: Qos,
    /// Connections that publish, each on a topic of its own.
    pub publishers: usize,
    /// QoS 1 publishes of a connection that may wait for their acknowledgement; at QoS 0, publishes
    /// in one write.
    pub window: usize,
    /// Who gets them.
    pub subscribers: Subscribers,
}

/// Who subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribers {
    /// Nobody.
    Nobody,
    /// So many, each to the topics of all publishers.
    All(usize),
    /// One for each publisher, to its topic alone.
    Pairs,
}

/// Connected clients.
#[derive(Debug)]
pub struct Clients {
    runtime: Runtime,
    shape: Shape,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
}

/// What a run saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Publishes that were acknowledged (at QoS 0: sent, and a later one acknowledged).
    pub published: usize,
    /// Publishes that subscribers got.
    pub delivered: usize,
    /// From the first publish to the last acknowledgement and delivery.
    pub elapsed: Duration,
    /// What was wrong.
    pub books: Books,
}

impl Clients {
    /// Connects everybody.
    ///
    /// # Errors
    /// What the broker or the system says.
    pub fn connect(shape: Shape, broker: SocketAddr) -> Result<Self, String> {
        let runtime = runtime()?;
        let connect = async {
            let mut publishers = Vec::new();
            let mut subscribers = Vec::new();
            for n in 0..shape.subscribers.count(shape.publishers) {
                let mut link = Link::connect(broker, &format!("sub-{n}")).await?;
                link.subscribe(&shape.subscribers.filter(n), shape.qos)
                    .await?;
                subscribers.push(Subscriber::new(link, shape.publishers));
            }
            for n in 0..shape.publishers {
                let link = Link::connect(broker, &format!("pub-{n}")).await?;
                publishers.push(Publisher::new(link, n, shape));
            }
            Ok::<_, std::io::Error>((publishers, subscribers))
        };
        let (publishers, subscribers) = runtime.block_on(connect).map_err(|e| e.to_string())?;
        Ok(Self {
            runtime,
            shape,
            publishers,
            subscribers,
        })
    }

    /// Publishes `messages`, shared out evenly, and waits until everything has arrived.
    ///
    /// # Errors
    /// If a connection ends or a broker stops to answer. What is merely missing is in the books.
    pub fn run(&mut self, messages: usize) -> Result<Done, String> {
        let each = messages / self.shape.publishers;
        let from = self.publishers.first().map_or(0, Publisher::next);
        let lag = Rc::new(Lag::default());
        let publishers: Vec<_> = self.publishers.drain(..).collect();
        let subscribers: Vec<_> = self.subscribers.drain(..).collect();
        let local = LocalSet::new();
        let (reach, count) = (self.shape.reach(), self.shape.publishers);
        let begun = Instant::now();
        let run = async {
            let publishing: Vec<_> = publishers
                .into_iter()
                .map(|p| tokio::task::spawn_local(p.run(each, reach, Rc::clone(&lag))))
                .collect();
            let expected = each * self.shape.sources();
            let receiving: Vec<_> = subscribers
                .into_iter()
                .map(|s| tokio::task::spawn_local(s.run(expected, count, Rc::clone(&lag))))
                .collect();
            let (mut publishers, mut subscribers) = (Vec::new(), Vec::new());
            for task in publishing {
                publishers.push(task.await??);
            }
            for task in receiving {
                subscribers.push(task.await??);
            }
            Ok::<_, std::io::Error>((publishers, subscribers))
        };
        let (publishers, subscribers) = local
            .block_on(&self.runtime, run)
            .map_err(|e| e.to_string())?;
        let mut done = Done {
            published: each * publishers.len(),
            elapsed: begun.elapsed(),
            ..Done::default()
        };
        for publisher in &publishers {
            done.books.reordered += publisher.unexpected;
        }
        for (n, subscriber) in subscribers.iter().enumerate() {
            let (delivered, books) = subscriber.judge(self.shape.heard_by(n), from, each);
            done.delivered += delivered;
            done.books += books;
        }
        (self.publishers, self.subscribers) = (publishers, subscribers);
        Ok(done)
    }
}

impl Shape {
    /// Publishers that one subscriber hears.
    fn sources(self) -> usize {
        match self.subscribers {
            Subscribers::Nobody => 0,
            Subscribers::All(_) => self.publishers,
            Subscribers::Pairs => 1,
        }
    }

    /// Subscribers that one publish reaches.
    fn reach(self) -> usize {
        match self.subscribers {
            Subscribers::Nobody => 0,
            Subscribers::All(count) => count,
            Subscribers::Pairs => 1,
        }
    }

    fn heard_by(self, subscriber: usize) -> std::ops::Range<usize> {
        match self.subscribers {
            Subscribers::Nobody => 0..0,
            Subscribers::All(_) => 0..self.publishers,
            Subscribers::Pairs => subscriber..subscriber + 1,
        }
    }
}

impl Subscribers {
    fn count(self, publishers: usize) -> usize {
        match self {
            Self::Nobody => 0,
            Self::All(count) => count,
            Self::Pairs => publishers,
        }
    }

    fn filter(self, subscriber: usize) -> String {
        match self {
            Self::Nobody | Self::All(_) => "plant/+/readings".to_owned(),
            Self::Pairs => wire::topic(subscriber),
        }
    }
}

fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
}
