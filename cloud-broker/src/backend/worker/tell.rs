//! Who waits for the open chunk, and what they are told when it is durable or lost.

use std::sync::Arc;

use headwater_broker_core::journal::{AppendRefusal, Placed};
use headwater_broker_core::{PartitionId, Stream, StreamId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Station, Worker};
use crate::backend::groups::Receipt;
use crate::backend::shared::Job;
use crate::backend::{AppendError, Appended, CreateError, DeleteError, Unavailable};

pub(super) type CreateReply = oneshot::Sender<Result<Arc<Stream>, CreateError>>;
pub(super) type DeleteReply = oneshot::Sender<Result<(), DeleteError>>;
type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;

/// What is told once the open chunk is durable.
#[derive(Debug)]
pub(super) enum Told {
    Appended {
        reply: AppendReply,
        partition: PartitionId,
        placed: Placed,
        _room: OwnedSemaphorePermit,
    },
    Refused(AppendReply, AppendError),
    Created(CreateReply, StreamId),
    NotCreated(CreateReply, CreateError),
    Deleted(DeleteReply, Result<(), DeleteError>),
    Kept(Receipt),
    Covered(usize),
}

impl Worker {
    /// Gives the answers that waited for the chunk.
    pub(super) fn tell(&mut self) {
        for told in self.told_at_commit.drain(..) {
            match told {
                Told::Appended {
                    reply,
                    partition,
                    placed,
                    ..
                } => {
                    let table = self.shared.table.load();
                    let log_start = table.get(partition.index()).map_or(0, |cell| cell.start());
                    let appended = Appended::from(placed);
                    give(
                        reply,
                        Ok(Appended {
                            log_start,
                            ..appended
                        }),
                    );
                }
                Told::Refused(reply, error) => give(reply, Err(error)),
                Told::Created(reply, id) => {
                    let stream = self.shared.catalog.load().by_id(&id).cloned();
                    give(reply, stream.ok_or_else(|| Unavailable::Failed.into()));
                }
                Told::NotCreated(reply, error) => give(reply, Err(error)),
                Told::Deleted(reply, answer) => give(reply, answer),
                Told::Kept(receipt) => receipt.tell(true),
                Told::Covered(at) => {
                    let Station {
                        inbox,
                        buffer,
                        answers,
                        ticket,
                    } = &mut self.stations[at];
                    buffer.clear();
                    if let Some(ticket) = ticket.take() {
                        inbox.covered(ticket, answers);
                    }
                }
            }
        }
    }

    /// Everything that is not committed is lost, and whoever waits is told so.
    pub(super) fn fail(&mut self, trouble: Unavailable, jobs: impl Iterator<Item = Job>) {
        self.journal.fail();
        // Before anybody is told: whoever asks again after that is not refused once more.
        let waiting = self.shared.take_jobs();
        for told in self.told_at_commit.drain(..) {
            match told {
                Told::Appended { reply, .. } | Told::Refused(reply, _) => {
                    give(reply, Err(trouble.into()));
                }
                Told::Created(reply, _) | Told::NotCreated(reply, _) => {
                    give(reply, Err(trouble.into()));
                }
                Told::Deleted(reply, _) => give(reply, Err(trouble.into())),
                Told::Kept(receipt) => receipt.tell(false),
                Told::Covered(_) => {}
            }
        }
        jobs.chain(waiting).for_each(|job| refuse(job, trouble));
        for station in &mut self.stations {
            station.buffer.clear();
            station.answers.clear();
            station.inbox.lost(station.ticket.take());
            station.inbox.wake();
        }
    }
}

impl From<Placed> for Appended {
    fn from(placed: Placed) -> Self {
        let Placed {
            base_offset,
            log_start,
            duplicate,
        } = placed;
        Self {
            base_offset,
            log_start,
            duplicate,
        }
    }
}

impl From<AppendRefusal> for AppendError {
    fn from(refusal: AppendRefusal) -> Self {
        match refusal {
            AppendRefusal::NoPartition => Self::NoPartition,
            AppendRefusal::Invalid => Self::InvalidRecord,
            AppendRefusal::TooLarge => Self::TooLarge,
            AppendRefusal::OutOfOrder => Self::OutOfOrderSequence,
            AppendRefusal::OldEpoch => Self::InvalidProducerEpoch,
        }
    }
}

fn give<T>(reply: oneshot::Sender<T>, answer: T) {
    // Whoever asked may have gone: then nobody needs the answer.
    let _ = reply.send(answer);
}

fn refuse(job: Job, trouble: Unavailable) {
    match job {
        Job::Append { reply, .. } => give(reply, Err(trouble.into())),
        Job::Create { reply, .. } => give(reply, Err(trouble.into())),
        Job::Delete { reply, .. } => give(reply, Err(trouble.into())),
        Job::Keep { receipt, .. } => receipt.tell(false),
    }
}
