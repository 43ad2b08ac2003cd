use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::error::AppendError;

/// One event as a source hands it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, ms since the epoch.
    pub timestamp: i64,
    /// Its topic, the record's key.
    pub key: String,
    /// Its payload; empty stays empty.
    pub value: Bytes,
    /// Record headers in their order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl Event {
    /// What counts against the 240,000 bytes: key, value and headers.
    pub fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len));
        headers.fold(self.key.len() + self.value.len(), usize::saturating_add)
    }
}

/// Resolves when the events of one append are durable, or refused.
#[derive(Debug)]
pub struct Append {
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Refused(Option<AppendError>),
    Waiting(oneshot::Receiver<Result<(), AppendError>>),
}

impl Append {
    pub(super) fn refused(error: AppendError) -> Self {
        Self {
            outcome: Outcome::Refused(Some(error)),
        }
    }

    pub(super) fn waiting(answer: oneshot::Receiver<Result<(), AppendError>>) -> Self {
        Self {
            outcome: Outcome::Waiting(answer),
        }
    }

    /// Waits on a thread that runs no async runtime.
    pub fn wait(self) -> Result<(), AppendError> {
        match self.outcome {
            Outcome::Refused(error) => Err(error.unwrap_or(AppendError::Stopped)),
            Outcome::Waiting(answer) => answer.blocking_recv().unwrap_or(Err(AppendError::Stopped)),
        }
    }
}

impl Future for Append {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.outcome {
            Outcome::Refused(error) => {
                Poll::Ready(Err(error.take().unwrap_or(AppendError::Stopped)))
            }
            Outcome::Waiting(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(AppendError::Stopped))),
        }
    }
}
