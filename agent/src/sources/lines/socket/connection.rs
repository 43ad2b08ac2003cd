//! One connection: lines in, `ok N` out.

use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Open;
use crate::log::AppendError;
use crate::sources::budget::Held;
use crate::sources::lines::cut::Cutter;
use crate::sources::lines::maker::Made;

/// Read at a time.
const READ_BYTES: usize = 16 << 10;
/// A line that is longer than one read has to end within this, since others wait for the memory.
const LONG_LINE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a log that refuses is left alone.
const RETRY: Duration = Duration::from_millis(250);
/// How long the last answer may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves a client until it ends, and commits what it had sent.
pub(super) async fn run<S>(open: Open, socket: S)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (input, output) = tokio::io::split(socket);
    let mut connection = Connection {
        held: open.0.budget.hold(0),
        cutter: open.0.maker.cutter(),
        open,
        input,
        output,
        buffer: Vec::new(),
        lines: 0,
        answers: Answers::default(),
    };
    // An error is the client's end; what it had sent is not lost for that.
    if let Err(error) = connection.serve().await {
        tracing::debug!("Connection ended: {error}");
    }
    connection.finish().await;
}

struct Connection<S> {
    open: Open,
    input: ReadHalf<S>,
    output: WriteHalf<S>,
    cutter: Cutter,
    /// The front of a line that has not come whole.
    buffer: Vec<u8>,
    held: Held,
    /// Lines that are durable.
    lines: u64,
    answers: Answers,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    async fn serve(&mut self) -> io::Result<()> {
        let mut is_last = false;
        let mut long_since = None;
        loop {
            let made = self
                .open
                .0
                .maker
                .make(&mut self.cutter, &self.buffer, is_last);
            if !made.is_empty() {
                self.drop_front(made.used);
                long_since = None;
                if !self.commit(made).await {
                    return Ok(());
                }
            } else if is_last || self.turn(&mut long_since, &mut is_last).await?.is_end() {
                return Ok(());
            }
        }
    }

    /// Waits for one thing to happen. `long_since` is when the line was first seen to be long.
    async fn turn(
        &mut self,
        long_since: &mut Option<Instant>,
        is_last: &mut bool,
    ) -> io::Result<Turn> {
        let mut stopping = self.open.0.maker.intake.stopping();
        let budget = self.open.0.budget.clone();
        let is_long = self.buffer.len() > READ_BYTES;
        let line_since = match is_long {
            true => *long_since.get_or_insert_with(Instant::now),
            false => Instant::now(),
        };
        let is_reading = !budget.is_spent() || is_long;
        if is_reading {
            self.buffer.reserve(READ_BYTES);
        }
        tokio::select! {
            biased;
            () = stopping.wait() => return Ok(Turn::End),
            written = self.answers.write(&mut self.output) => written?,
            read = self.input.read_buf(&mut self.buffer), if is_reading => {
                *is_last = read? == 0;
                self.held.set(self.buffer.len());
            }
            () = budget.available(), if !is_reading => {}
            () = sleep_until(line_since + LONG_LINE_TIMEOUT), if is_long => {
                self.answers.refuse(self.lines, "Line does not end");
                return Ok(Turn::End);
            }
        }
        Ok(Turn::On)
    }

    fn drop_front(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        if self.buffer.is_empty() {
            // An idle connection holds no buffer.
            self.buffer = Vec::new();
        }
    }

    /// Waits until the log has taken them; `false` if the agent stops or the client has gone.
    async fn commit(&mut self, made: Made) -> bool {
        let intake = self.open.0.maker.intake.clone();
        let mut stopping = intake.stopping();
        let mut is_told = false;
        for (events, is_rejected) in [(&made.events, false), (&made.rejected, true)] {
            while let Err(error) = intake.append_again(events, is_rejected).await {
                if matches!(error, AppendError::Stopped) {
                    return false;
                }
                if !std::mem::replace(&mut is_told, true) {
                    self.answers.refuse(self.lines, &error.to_string());
                }
                tokio::select! {
                    () = stopping.wait() => return false,
                    written = self.answers.write(&mut self.output) => if written.is_err() { return false },
                    () = sleep(RETRY) => {}
                }
            }
        }
        self.lines += made.count() as u64;
        self.answers.ok(self.lines, made.count());
        self.held.set(self.buffer.len());
        true
    }

    /// Writes what is left to be said.
    async fn finish(mut self) {
        let last_words = async {
            while self.answers.has_some() {
                self.answers.write(&mut self.output).await?;
            }
            self.output.shutdown().await
        };
        // The client may be gone or not read; then nobody is there to be told.
        let _told = timeout(LAST_WORDS, last_words).await;
    }
}

enum Turn {
    On,
    End,
}

impl Turn {
    fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// What is to be written. A client that does not read gets the newest count when it does.
#[derive(Debug, Default)]
struct Answers {
    /// A line that is being written.
    line: Vec<u8>,
    refusal: Option<String>,
    ok: Option<u64>,
}

impl Answers {
    fn ok(&mut self, lines: u64, count: usize) {
        if count > 0 {
            self.ok = Some(lines);
        }
    }

    fn refuse(&mut self, lines: u64, why: &str) {
        self.refusal = Some(format!("err {lines} {why}\n"));
    }

    fn has_some(&self) -> bool {
        !self.line.is_empty() || self.refusal.is_some() || self.ok.is_some()
    }

    /// Writes a part; waits for ever if there is nothing. Can be dropped and called again.
    async fn write(&mut self, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.line.is_empty() {
            // The count before the refusal was said with it.
            let next = self.refusal.take();
            let next = next.or_else(|| self.ok.take().map(|lines| format!("ok {lines}\n")));
            let Some(next) = next else {
                return std::future::pending().await;
            };
            self.line = next.into_bytes();
        }
        let bytes = output.write(&self.line).await?;
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.line.drain(..bytes);
        Ok(())
    }
}
