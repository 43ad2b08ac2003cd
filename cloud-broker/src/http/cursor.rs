//! Places in the log, and reading from there without blocking the runtime.

use std::sync::Arc;

use headwater_broker_core::PartitionId;

use crate::backend::{Backend, ReadError, StoredBatch};
pub(super) use crate::start::{From, Start};

impl Start {
    /// The offset of the next record to read. An offset that is no longer there becomes the first
    /// that is; one that is not there yet is an error.
    pub(super) async fn resolve(
        self,
        backend: &Arc<Backend>,
        partition: PartitionId,
    ) -> Result<i64, ReadError> {
        let bounds = backend.try_bounds(partition)?;
        match self {
            Self::Earliest => Ok(bounds.start),
            Self::Latest => Ok(bounds.end),
            Self::Offset(offset) if offset > bounds.end => Err(ReadError::OffsetOutOfRange),
            Self::Offset(offset) => Ok(offset.max(bounds.start)),
            Self::Time(ms) => {
                let found = blocking(backend, move |backend| {
                    backend.offset_for_time(partition, ms)
                });
                Ok(found.await?.map_or(bounds.end, |(offset, _)| offset))
            }
        }
    }
}

/// Whole batches from the one that contains `offset` on, as [`Backend::read`] gives them.
pub(super) async fn read(
    backend: &Arc<Backend>,
    partition: PartitionId,
    offset: i64,
    max_bytes: usize,
) -> Result<Vec<StoredBatch>, ReadError> {
    match backend.read_recent(partition, offset, max_bytes) {
        Some(recent) => recent,
        None => {
            blocking(backend, move |backend| {
                backend.read(partition, offset, max_bytes)
            })
            .await
        }
    }
}

async fn blocking<T: Send + 'static>(
    backend: &Arc<Backend>,
    work: impl FnOnce(&Backend) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let backend = Arc::clone(backend);
    match tokio::task::spawn_blocking(move || work(&backend)).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends and takes no more work.
            Err(_) => std::future::pending().await,
        },
    }
}
