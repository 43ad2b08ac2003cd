//! One connection: lines in, `ok N` out.

use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Open;
use crate::log::{AppendError, Held, Room, Use};
use crate::sources::Intake;
use crate::sources::lines::cut::Cutter;
use crate::sources::lines::maker::Made;

/// Read at a time.
const READ_BYTES: usize = 16 << 10;
/// Read at a time while many connections have something.
const SHORT_READ_BYTES: usize = 4 << 10;
/// A line that is longer than one read, or any while memory is scarce, has to end within this, since
/// others wait for the memory.
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
    let room = open.0.maker.intake.room();
    let mut connection = Connection {
        front_held: room.hold(Use::Front, 0),
        long_held: room.hold(Use::Long, 0),
        cutter: open.0.maker.cutter(),
        open,
        input,
        output,
        buffer: Vec::new(),
        line_since: None,
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
    /// What came and is not committed: lines, and the front of one that has not come whole.
    buffer: Vec<u8>,
    front_held: Held,
    /// For a line that is longer than one read: it may be read to its end.
    long_held: Held,
    /// When the line that is being read was begun, or last waited with.
    line_since: Option<Instant>,
    /// Lines that are durable.
    lines: u64,
    answers: Answers,
}

/// What came of a wait.
enum Turn {
    /// Look again.
    On,
    /// The client sends nothing more.
    Last,
    /// The agent stops, or the client must go.
    End,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    async fn serve(&mut self) -> io::Result<()> {
        let mut is_last = false;
        loop {
            while !self.buffer.is_empty() {
                match self.commit(is_last).await {
                    Commit::Done => {}
                    Commit::Nothing => break,
                    Commit::End => return Ok(()),
                }
            }
            if is_last {
                return Ok(());
            }
            match self.turn().await? {
                Turn::On => {}
                Turn::Last => is_last = true,
                Turn::End => return Ok(()),
            }
        }
    }

    /// Waits for one thing to happen.
    async fn turn(&mut self) -> io::Result<Turn> {
        let mut stopping = self.open.0.maker.intake.stopping();
        let room = self.open.0.maker.intake.room().clone();
        let freed = room.freed();
        tokio::pin!(freed);
        freed.as_mut().enable();
        let may_read = self.may_read(&room);
        let has_begun = !self.buffer.is_empty();
        let is_long = self.buffer.len() > READ_BYTES;
        if !has_begun || !may_read {
            // It is not the client that is late.
            self.line_since = None;
        }
        let since = self.line_since.unwrap_or_else(Instant::now);
        self.line_since = has_begun.then_some(since);
        // Asked once more when something has come: others may have taken the room since.
        let room_for = || match () {
            () if is_long => READ_BYTES,
            () if !has_begun && room.is_spent(Use::Front) => 0,
            () if room.is_scarce(Use::Front) => SHORT_READ_BYTES,
            () => READ_BYTES,
        };
        tokio::select! {
            biased;
            () = stopping.wait() => return Ok(Turn::End),
            written = self.answers.write(&mut self.output) => written?,
            came = read(&mut self.input, &mut self.buffer, room_for), if may_read => {
                let is_end = came? == Some(0);
                self.hold();
                return Ok(if is_end { Turn::Last } else { Turn::On });
            }
            () = freed, if !may_read => {}
            () = sleep_until(since + LONG_LINE_TIMEOUT), if has_begun && may_read => {
                // A short line may take its time as long as there is room for everybody.
                if is_long || room.is_scarce(Use::Front) {
                    self.answers.refuse(self.lines, "Line does not end");
                    return Ok(Turn::End);
                }
                self.line_since = None;
            }
        }
        Ok(Turn::On)
    }

    /// Whether there is room for what comes. A line that has begun may be read on, if need be once
    /// others of its length are done with.
    fn may_read(&mut self, room: &Room) -> bool {
        if self.buffer.is_empty() {
            return !room.is_spent(Use::Front);
        }
        if self.buffer.len() > READ_BYTES && self.long_held.is_empty() {
            if room.is_spent(Use::Long) {
                return false;
            }
            self.long_held.set(self.open.0.maker.buffer_bytes_max());
        }
        true
    }

    fn hold(&mut self) {
        if self.buffer.len() <= READ_BYTES {
            self.long_held.set(0);
        }
        self.front_held.set(self.buffer.len().min(READ_BYTES));
    }

    /// Commits the lines at the front of the buffer, as many as one step takes, as soon as the
    /// queue has room and the log takes them. They stay in the buffer until then.
    async fn commit(&mut self, is_last: bool) -> Commit {
        let intake = self.open.0.maker.intake.clone();
        let (mut is_told, mut are_events_in) = (false, false);
        loop {
            if self
                .wait(intake.room().available(Use::Queue))
                .await
                .is_none()
            {
                return Commit::End;
            }
            let mut cutter = self.cutter;
            let maker = &self.open.0.maker;
            let made = maker.make(&mut cutter, &self.buffer, is_last);
            if made.is_empty() {
                return Commit::Nothing;
            }
            let held = intake.room().hold(Use::Queue, made.bytes());
            let outcome = append(&intake, &made, &mut are_events_in).await;
            drop(held);
            match outcome {
                Ok(()) => {
                    self.cutter = cutter;
                    self.drop_front(made.used);
                    self.lines += made.count() as u64;
                    self.answers.ok(self.lines, made.count());
                    return Commit::Done;
                }
                Err(AppendError::Stopped) => return Commit::End,
                Err(error) if !is_told => {
                    self.answers.refuse(self.lines, &error.to_string());
                    is_told = true;
                }
                Err(_) => {}
            }
            drop(made);
            if self.is_in_the_way() {
                return Commit::End;
            }
            if self.wait(sleep(RETRY)).await.is_none() {
                return Commit::End;
            }
        }
    }

    /// Whether what it holds while the log refuses it is missing to sources that the log takes from.
    /// Its lines have had no answer: it may send them again.
    fn is_in_the_way(&self) -> bool {
        !self.long_held.is_empty() || self.open.0.maker.intake.room().is_scarce(Use::Front)
    }

    /// Waits for `what` and writes answers meanwhile; `None` if the agent stops or the client has
    /// gone.
    async fn wait(&mut self, what: impl Future<Output = ()>) -> Option<()> {
        let mut stopping = self.open.0.maker.intake.stopping();
        tokio::pin!(what);
        loop {
            tokio::select! {
                biased;
                () = &mut what => return Some(()),
                () = stopping.wait() => return None,
                written = self.answers.write(&mut self.output) => written.ok()?,
            }
        }
    }

    fn drop_front(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        self.line_since = None;
        if self.buffer.is_empty() {
            // An idle connection holds no buffer.
            self.buffer = Vec::new();
        }
        self.hold();
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

/// What came of a step.
enum Commit {
    /// It is durable.
    Done,
    /// There is no line.
    Nothing,
    /// The agent stops, or the client has gone.
    End,
}

/// Makes a step durable. What is in already is not appended once more.
async fn append(intake: &Intake, made: &Made, are_events_in: &mut bool) -> Result<(), AppendError> {
    if !*are_events_in {
        intake.append_again(&made.events, false).await?;
        *are_events_in = true;
    }
    intake.append_again(&made.rejected, true).await
}

/// Reads what has come, through a buffer on the stack: a connection that waits holds no memory.
/// `None` if there was no room for it any more.
async fn read(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    room_for: impl Fn() -> usize,
) -> io::Result<Option<usize>> {
    std::future::poll_fn(|context| {
        let bytes_max = room_for().min(READ_BYTES);
        if bytes_max == 0 {
            return Poll::Ready(Ok(None));
        }
        let mut stack = [0; READ_BYTES];
        let mut came = ReadBuf::new(&mut stack[..bytes_max]);
        ready!(Pin::new(&mut *input).poll_read(context, &mut came))?;
        buffer.extend_from_slice(came.filled());
        Poll::Ready(Ok(Some(came.filled().len())))
    })
    .await
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

#[cfg(test)]
mod tests;
