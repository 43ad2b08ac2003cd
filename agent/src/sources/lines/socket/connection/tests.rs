//! Lines that do not end. The clock is the runtime's: it goes on when everybody waits.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::watch;

use super::super::Door;
use super::*;
use crate::config::SourceSettings;
use crate::log::{Log, LogOptions};
use crate::sources::Stopping;
use crate::sources::lines::maker::Maker;
use crate::status::Changes;

/// Long after a line must have ended.
const LONG: Duration = Duration::from_secs(600);

struct World {
    door: Arc<Door>,
    room: Room,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(LogOptions::new(dir.path(), "gw-1")).unwrap();
        let settings = SourceSettings {
            kind: "lines".to_owned(),
            ..SourceSettings::default()
        };
        let (stop, stopping) = Stopping::new();
        let intake = Intake::new(&settings, log.clone(), Changes::default(), stopping).unwrap();
        Self {
            door: Door::new(Maker::new(intake, "tcp")),
            room: log.room().clone(),
            _stop: stop,
            _dir: dir,
        }
    }

    /// A client that has begun a line.
    async fn begun(&self, line: &[u8]) -> BufReader<DuplexStream> {
        let (client, socket) = duplex(64 << 10);
        tokio::spawn(run(Open::new(&self.door), socket));
        let mut client = BufReader::new(client);
        client.write_all(line).await.unwrap();
        client
    }
}

/// What the client is told until the connection ends.
async fn last_words(client: &mut BufReader<DuplexStream>) -> String {
    let mut words = String::new();
    let ended = timeout(LONG, client.read_to_string(&mut words)).await;
    ended.expect("the connection ends").unwrap();
    words
}

#[tokio::test(start_paused = true)]
async fn a_line_that_does_not_end_is_ended_while_memory_is_scarce() {
    let world = World::new();
    let _others = world.room.hold(Use::Front, 200 << 10);
    let mut client = world.begun(b"a").await;
    assert_eq!(last_words(&mut client).await, "err 0 Line does not end\n");
}

#[tokio::test(start_paused = true)]
async fn a_long_line_that_does_not_end_is_ended_always() {
    let world = World::new();
    let mut client = world.begun(&[b'a'; 20_000]).await;
    assert_eq!(last_words(&mut client).await, "err 0 Line does not end\n");
}

#[tokio::test(start_paused = true)]
async fn a_short_line_takes_its_time_while_there_is_room() {
    let world = World::new();
    let mut client = world.begun(b"a").await;
    sleep(LONG).await;
    client.write_all(b"b\n").await.unwrap();
    let mut answer = String::new();
    client.read_line(&mut answer).await.unwrap();
    assert_eq!(answer, "ok 1\n");
}
