//! Standard input, to its end. What comes through a pipe cannot be read again: lines are taken as
//! soon as they come, and wait here when the log is full.

use std::io::Read as _;
use std::time::Duration;

use tokio::sync::mpsc;

use super::maker::{Made, Maker};
use crate::log::AppendError;
use crate::sources::{Opened, SourceError};
use crate::status::SourceState;

/// Read at a time; a line that is longer is gathered from several.
const READ_BYTES: usize = 64 << 10;
/// How long a log that refuses is left alone.
const RETRY: Duration = Duration::from_millis(250);

pub(super) fn open(maker: Maker) -> Result<Opened, SourceError> {
    let (parts, incoming) = mpsc::channel(1);
    let name = maker.intake.name().to_owned();
    // A read waits in the kernel until something comes, and nothing ends it: the thread ends with
    // its input, or with the process.
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || read(&parts))
        .map_err(|reason| SourceError::Thread { name, reason })?;
    Ok(Opened {
        listen: None,
        task: Box::pin(run(maker, incoming)),
    })
}

fn read(parts: &mpsc::Sender<std::io::Result<Vec<u8>>>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let part = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => Ok(buffer[..bytes].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let has_failed = part.is_err();
        if parts.blocking_send(part).is_err() || has_failed {
            return;
        }
    }
}

async fn run(maker: Maker, mut incoming: mpsc::Receiver<std::io::Result<Vec<u8>>>) {
    let mut stopping = maker.intake.stopping();
    let mut buffer = Vec::new();
    let mut cutter = maker.cutter();
    let mut is_last = false;
    while !is_last {
        tokio::select! {
            () = stopping.wait() => return,
            part = incoming.recv() => match part {
                Some(Ok(part)) => buffer.extend_from_slice(&part),
                Some(Err(error)) => return maker.intake.failed(&format!("Input cannot be read: {error}")),
                None => is_last = true,
            },
        }
        loop {
            let made = maker.make(&mut cutter, &buffer, is_last);
            if made.is_empty() {
                break;
            }
            buffer.drain(..made.used);
            if !append(&maker, &made).await {
                return;
            }
        }
    }
    maker
        .intake
        .waits(SourceState::Done, "Input has ended".to_owned());
}

/// Waits as long as the log is full; `false` if the agent stops first.
async fn append(maker: &Maker, made: &Made) -> bool {
    let mut stopping = maker.intake.stopping();
    for (events, is_rejected) in [(&made.events, false), (&made.rejected, true)] {
        while let Err(error) = maker.intake.append_again(events, is_rejected).await {
            if matches!(error, AppendError::Stopped) {
                return false;
            }
            tokio::select! {
                () = stopping.wait() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
    true
}
