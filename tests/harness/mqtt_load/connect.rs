//! Many clients that connect, subscribe, and then say nothing.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::link::Link;
use super::wire::{self, Qos};

/// Who wants in.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Connections, each with a subscription of its own.
    pub connections: usize,
    /// How many may be on their way in at once.
    pub at_once: usize,
}

/// Clients that are connected and idle. Dropping them closes their connections.
#[derive(Debug)]
pub struct Idle {
    /// From the first connection to the last SUBACK.
    pub elapsed: Duration,
    _links: Vec<Link>,
    _runtime: Runtime,
}

impl Crowd {
    /// Connects and subscribes all of them.
    ///
    /// # Errors
    /// What the broker or the system says.
    pub fn enter(self, broker: SocketAddr) -> Result<Idle, String> {
        let runtime = super::runtime()?;
        let local = LocalSet::new();
        let begun = Instant::now();
        let links = local.block_on(&runtime, async {
            let places = Rc::new(Semaphore::new(self.at_once));
            let one = |n| {
                let places = Rc::clone(&places);
                tokio::task::spawn_local(async move {
                    let _place = places.acquire().await;
                    let mut link = Link::connect(broker, &format!("idle-{n}")).await?;
                    link.subscribe(&wire::topic(n), Qos::One).await?;
                    Ok::<_, std::io::Error>(link)
                })
            };
            let tasks: Vec<_> = (0..self.connections).map(one).collect();
            let mut links = Vec::with_capacity(tasks.len());
            for task in tasks {
                links.push(task.await??);
            }
            Ok::<_, std::io::Error>(links)
        });
        Ok(Idle {
            elapsed: begun.elapsed(),
            _links: links.map_err(|e| e.to_string())?,
            _runtime: runtime,
        })
    }
}
