//! Trouble with the disk: what is taken meanwhile, and when it is tried again.

use std::time::{Duration, Instant};

use headwater_broker_core::journal::Draft;
use headwater_store::{ErrorKind, StoreError};

use super::Worker;
use crate::backend::Unavailable;

impl Worker {
    pub(super) fn trouble(&mut self, error: &StoreError) -> Unavailable {
        let trouble = match error.kind {
            ErrorKind::NoSpace => Unavailable::DiskFull,
            _ => Unavailable::Failed,
        };
        self.failures += 1;
        // One failure may be over with the next file; a disk that keeps failing is given a rest.
        let shut = self.failures > 1 || trouble == Unavailable::DiskFull;
        if self.failures == 1 {
            tracing::error!("The journal cannot be written, what was uncommitted is lost: {error}");
        }
        self.shared.gate.trouble_is(trouble, shut);
        self.retry_at = Some(Instant::now() + self.retry_after());
        trouble
    }

    pub(super) fn wrote(&mut self) {
        if self.failures > 0 {
            tracing::info!("The journal is written again");
            self.failures = 0;
            self.retry_at = None;
            self.shared.gate.open();
        }
    }

    /// Looks from time to time whether the disk has room, and tries again after a failure.
    pub(super) fn look_after_trouble(&mut self) {
        let now = Instant::now();
        if self
            .space_seen
            .is_none_or(|seen| now - seen >= self.retry_after())
        {
            self.space_seen = Some(now);
            self.look_at_space();
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.try_again();
        }
    }

    fn look_at_space(&mut self) {
        let Some((free, total)) = (self.shared.options.space)() else {
            return;
        };
        let percent = u64::from(self.shared.options.disk_min_free_percent);
        let gate = &self.shared.gate;
        if free < total / 100 * percent {
            if gate.trouble().is_none() {
                tracing::warn!("The disk is full: {free} of {total} bytes are free");
            }
            gate.trouble_is(Unavailable::DiskFull, true);
        } else if self.failures == 0 {
            gate.open();
        }
    }

    /// Writes an empty chunk, to see whether the disk takes anything.
    fn try_again(&mut self) {
        let empty = Draft {
            entries: Vec::new(),
            partitions: Vec::new(),
            payload: Default::default(),
        };
        match self.writer.put(&empty) {
            Ok(_) => self.wrote(),
            Err(error) => {
                self.trouble(&error);
            }
        }
    }

    pub(super) fn retry_after(&self) -> Duration {
        Duration::from_millis(self.shared.options.retry_ms.into())
    }
}
