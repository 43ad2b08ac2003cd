//! Follows a file as `tail -F` does, and has each line in the log once.
//!
//! On a thread of its own, since reading a file waits in the kernel: it reads what is there, makes
//! a step of it (events and cursor, durable together), and looks again in a while. Nothing is
//! read ahead of what the log takes, so a full log only makes it wait.
//!
//! Rotation: a file that was renamed is read on until another with content lies at its path and
//! nothing came for a while; then its last line needs no newline. The next file is the oldest
//! rotated one not read yet, or the one at the path. A file that was truncated is begun anew; if a
//! rotated file beside it has the bytes that were read before, it is a copy (`copytruncate`), and its
//! rest is read first.

mod find;
mod follow;
mod place;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::maker::Maker;
use crate::sources::{Opened, SourceError};
use follow::Follower;
use place::Cursor;

/// How often a file is looked at that had nothing new.
const POLL: Duration = Duration::from_millis(100);

/// Follows the file at `path`, from the cursor in the log, or else from its beginning.
pub(super) async fn open(maker: Maker, path: PathBuf) -> Result<Opened, SourceError> {
    let intake = maker.intake.clone();
    let name = intake.name().to_owned();
    let kept = intake.cursor().await;
    let cursor = kept.as_deref().map(Cursor::decode);
    if matches!(cursor, Some(None)) {
        // Reading everything once more would be worse than reading nothing.
        intake.failed("The cursor in the log is of a later version");
        return Ok(Opened {
            listen: None,
            task: Box::pin(async {}),
        });
    }
    let follower = Follower::new(maker, path, cursor.flatten());
    let (stop, stopped) = mpsc::channel::<()>();
    let (ended, has_ended) = oneshot::channel::<()>();
    let run = move || {
        let _ended = ended;
        follower.run(&Pause(stopped));
    };
    std::thread::Builder::new()
        .name("lines".into())
        .spawn(run)
        .map_err(|reason| SourceError::Thread { name, reason })?;
    let task = async move {
        let mut stopping = intake.stopping();
        let mut has_ended = has_ended;
        tokio::select! {
            () = stopping.wait() => {}
            _gone = &mut has_ended => {
                intake.failed("The file is no longer followed");
                return;
            }
        }
        drop(stop);
        // The sender is dropped when the thread ends, however it ends.
        let _gone = has_ended.await;
    };
    Ok(Opened {
        listen: None,
        task: Box::pin(task),
    })
}

/// A cursor as it is written once it is read.
pub(super) fn rewritten(cursor: &[u8]) -> Option<Vec<u8>> {
    Cursor::decode(cursor).map(|cursor| cursor.encode())
}

/// How the thread waits.
struct Pause(mpsc::Receiver<()>);

impl Pause {
    /// Waits a moment; `false` if the agent stops.
    fn wait(&self) -> bool {
        self.0.recv_timeout(POLL) != Err(mpsc::RecvTimeoutError::Disconnected)
    }

    fn is_over(&self) -> bool {
        self.0.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }
}
