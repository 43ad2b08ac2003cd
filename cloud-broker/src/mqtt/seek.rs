//! Subscriptions that do not follow live: where each group of a client's stands, and how it comes
//! to be read for.
//!
//! A group that is behind waits until its client takes something, then reads the log with a
//! `mqtt::scan` until it has come to where live delivery is, or the client is full. Its
//! place is all that it costs meanwhile.

use std::rc::Rc;
use std::sync::Arc;

use headwater_broker_core::PartitionId;
use headwater_broker_core::replay::Merge;
use headwater_mqtt::Reason;
use tokio::task::{spawn_blocking, spawn_local};

use super::connection::{Connection, End, State};
use super::core::Core;
use super::replay::Beginning;
use super::scan::{self, Reader, ScanId};
use super::subscriptions::Group;
use crate::backend::{Backend, ReadError};

/// By partition: the next offset to deliver.
pub(super) type Place = Merge<()>;

/// How a group is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// With others that come at about the same time, for whom it waits a moment.
    InCompany,
    /// With others that are at the same place now.
    AtOnce,
    /// It would hold others up, or they it.
    Alone,
}

/// Where a group stands.
#[derive(Debug)]
pub(super) enum Behind {
    /// Its place is to be found by a time first.
    Time {
        ms: i64,
        partitions: Vec<usize>,
        latest: Vec<i64>,
    },
    /// Here, until its client takes more.
    Waiting(Place, Manner),
    /// Where this scan is.
    Reading(ScanId),
}

impl Behind {
    /// At these offsets.
    pub(super) fn at(next: Vec<i64>, manner: Manner) -> Self {
        Self::Waiting(Merge::new(next, 0), manner)
    }
}

impl From<Beginning> for Behind {
    fn from(beginning: Beginning) -> Self {
        match beginning {
            Beginning::Offsets(next) => Self::at(next, Manner::InCompany),
            Beginning::Time {
                ms,
                partitions,
                latest,
            } => Self::Time {
                ms,
                partitions,
                latest,
            },
        }
    }
}

/// Lets a connection's groups that are behind be read for; call it when one has come to be.
pub(super) fn begin(core: &Rc<Core>, connection: &Rc<Connection>) {
    if connection.seeking.replace(true) {
        connection.room.notify_one();
    } else {
        spawn_local(seek(Rc::clone(core), Rc::clone(connection)));
    }
}

async fn seek(core: Rc<Core>, connection: Rc<Connection>) {
    loop {
        let time = connection.state.borrow_mut().time_to_find();
        if let Some(search) = time {
            search.run(&core, &connection).await;
        } else if core.let_read(&connection) {
            break;
        } else {
            connection.room.notified().await;
        }
    }
    connection.seeking.set(false);
}

/// A time that is looked for in some partitions.
struct Search {
    group: Group,
    ms: i64,
    partitions: Vec<usize>,
    latest: Vec<i64>,
}

impl Search {
    async fn run(mut self, core: &Rc<Core>, connection: &Rc<Connection>) {
        let backend = Arc::clone(&core.door.backend);
        let (ms, partitions) = (self.ms, self.partitions);
        let permit = core.reading.acquire().await.ok();
        let found = spawn_blocking(move || find(&backend, ms, &partitions)).await;
        drop(permit);
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return scan::give_up(connection, &error),
            Err(stopped) => {
                tracing::debug!("Looking for a time was cut short: {stopped}");
                // Without it everything would be replayed.
                return connection.close(End::Because(Reason::UNSPECIFIED));
            }
        };
        for (index, offset) in found {
            if let Some(latest) = self.latest.get_mut(index) {
                *latest = offset.min(*latest);
            }
        }
        let mut state = connection.state.borrow_mut();
        if let Some(behind @ Behind::Time { .. }) = state.behind.get_mut(&self.group) {
            *behind = Behind::at(self.latest, Manner::InCompany);
        }
    }
}

/// The first offset of this time or later, of each partition that has one. Blocks.
fn find(backend: &Backend, ms: i64, partitions: &[usize]) -> Result<Vec<(usize, i64)>, ReadError> {
    let mut found = Vec::new();
    for &index in partitions {
        let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
        match backend.offset_for_time(partition, ms) {
            Ok(place) => found.extend(place.map(|(offset, _)| (index, offset))),
            // Its stream was deleted at this moment.
            Err(ReadError::NoPartition) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl State {
    fn time_to_find(&mut self) -> Option<Search> {
        if self.end.is_some() {
            return None;
        }
        self.behind.iter_mut().find_map(|(group, behind)| {
            let Behind::Time {
                ms,
                partitions,
                latest,
            } = behind
            else {
                return None;
            };
            Some(Search {
                group: *group,
                ms: *ms,
                partitions: std::mem::take(partitions),
                latest: std::mem::take(latest),
            })
        })
    }
}

impl Core {
    /// Has all groups of a connection that wait read for, if the client takes something. Gives
    /// whether none waits any more.
    fn let_read(self: &Rc<Self>, connection: &Rc<Connection>) -> bool {
        let mut state = connection.state.borrow_mut();
        let state = &mut *state;
        if state.end.is_some() {
            return true;
        }
        let has_room = state.has_room();
        let mut all = true;
        for (group, behind) in &mut state.behind {
            let Behind::Waiting(place, manner) = behind else {
                continue;
            };
            if !has_room {
                all = false;
                continue;
            }
            let reader = Reader {
                connection: connection.index.get(),
                group: *group,
            };
            let filters = state.subscriptions.of(*group);
            let id = scan::begin(self, reader, place.place(), *manner, filters);
            *behind = Behind::Reading(id);
        }
        all
    }
}
