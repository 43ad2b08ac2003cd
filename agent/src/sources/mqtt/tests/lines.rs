//! Beside lines that the log refuses.

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::log::AppendError;
use crate::sources::lines;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const LANE: &str = "held";

/// A `lines` source whose lane is held, and has all that a held lane takes.
struct HeldLines {
    address: SocketAddr,
    _stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HeldLines {
    async fn start(log: &Log) -> Self {
        let settings = SourceSettings {
            kind: "lines".to_owned(),
            stream: Some(LANE.to_owned()),
            ..SourceSettings::default()
        };
        let (stop, stopping) = Stopping::new();
        let intake = Intake::new(&settings, log.clone(), Changes::default(), stopping).unwrap();
        fill(log, &intake).await;
        let opened = lines::open(intake, "tcp:127.0.0.1:0").await.unwrap();
        Self {
            address: opened.listen.unwrap(),
            _stop: stop,
            task: tokio::spawn(opened.task),
        }
    }

    /// A client that has been told that its line is refused.
    async fn refused(&self, bytes: usize) -> BufReader<TcpStream> {
        let mut line = vec![b'x'; bytes];
        line.push(b'\n');
        let mut answer = String::new();
        let mut client = BufReader::new(TcpStream::connect(self.address).await.unwrap());
        client.write_all(&line).await.unwrap();
        let told = tokio::time::timeout(PATIENCE, client.read_line(&mut answer)).await;
        told.expect("an answer comes").unwrap();
        assert!(answer.starts_with("err 0 "), "{answer:?}");
        client
    }
}

/// Holds the lane, and appends to it until it takes no more.
async fn fill(log: &Log, intake: &Intake) {
    let (mut noise, mut words) = (1_u64, 15_000);
    while words > 100 {
        let value = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()
        });
        let value: Bytes = value.take(words).flatten().collect();
        let event = intake.event("a".to_owned(), 0, value, Vec::new());
        match intake.append(vec![event.unwrap()]).await {
            Ok(()) => log.hold(&LaneName::main(LANE), "Broker refused".to_owned()),
            Err(AppendError::Held { .. }) => words /= 4,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn refused_lines_take_no_memory_from_packets() {
    for (count, line_bytes) in [(2, 20_000), (40, 8_000)] {
        let agent = Agent::start_with(Limits::default(), |options| {
            options.max_bytes = 20 << 20;
        })
        .await;
        let lines = HeldLines::start(&agent.log).await;
        let mut refused = Vec::new();
        for _ in 0..count {
            refused.push(lines.refused(line_bytes).await);
        }
        let mut client = agent.client(V5, "c").await;
        let packet = Publish {
            payload: &[0; 20_000],
            ..publish("a/b", 1)
        };
        client.send(&Packet::Publish(packet)).await;
        client
            .expect(|packet| is_ack(packet, 1, Reason::SUCCESS))
            .await;
        drop(refused);
        lines.task.abort();
    }
}
