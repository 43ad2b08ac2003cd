//! Sockets: `ok N`, `err N`, and clients that do not read.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};

use super::*;

async fn answer(input: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> String {
    let mut line = String::new();
    let read = tokio::time::timeout(PATIENCE, input.read_line(&mut line)).await;
    read.expect("an answer comes").unwrap();
    line
}

/// Reads until the count is reached: how many lines each commit took is not promised.
async fn reaches(input: &mut (impl tokio::io::AsyncBufRead + Unpin), lines: u64) {
    let mut last = 0;
    while last < lines {
        let answer = answer(input).await;
        let count = answer
            .strip_prefix("ok ")
            .and_then(|n| n.trim().parse().ok());
        let count = count.unwrap_or_else(|| panic!("{answer:?}"));
        assert!(count > last, "{count} after {last}");
        last = count;
    }
    assert_eq!(last, lines);
}

#[tokio::test]
async fn each_connection_is_told_how_many_of_its_lines_are_durable() {
    let world = World::new();
    let running = world.start("tcp:127.0.0.1:0").await;
    let address = running.listen.unwrap();
    let mut first = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut second = BufReader::new(TcpStream::connect(address).await.unwrap());
    first.write_all(b"a\nb\r\nc").await.unwrap();
    reaches(&mut first, 2).await;
    second.write_all(b"x\n").await.unwrap();
    reaches(&mut second, 1).await;
    first.write_all(b"c\n").await.unwrap();
    reaches(&mut first, 3).await;
    first.write_all(b"last").await.unwrap();
    first.shutdown().await.unwrap();
    let mut rest = first;
    assert_eq!(answer(&mut rest).await, "ok 4\n", "the end ends a line");
    assert_eq!(answer(&mut rest).await, "");
    running.stop().await;
    assert_eq!(world.logged("events"), ["a", "b", "x", "cc", "last"]);
}

#[tokio::test]
async fn a_client_that_never_reads_costs_nobody_anything() {
    let world = World::new();
    let path = world.path("lines.sock");
    let running = world.start(&format!("unix:{}", path.display())).await;
    let mut deaf = UnixStream::connect(&path).await.unwrap();
    for number in 0..2_000 {
        let line = format!("{number}\n");
        tokio::time::timeout(PATIENCE, deaf.write_all(line.as_bytes()))
            .await
            .expect("lines are taken")
            .unwrap();
    }
    running.has(2_000).await;
    let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
    client.write_all(b"heard\n").await.unwrap();
    reaches(&mut client, 1).await;
    drop(deaf);
    running.stop().await;
    assert!(!path.exists(), "the socket goes with the source");
    assert_eq!(world.logged("events").len(), 2_001);
}

#[tokio::test]
async fn a_killed_agent_s_socket_is_replaced_and_a_living_one_s_is_not() {
    let world = World::new();
    let path = world.path("lines.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let from = format!("unix:{}", path.display());
    let running = world.start(&from).await;
    let other = World::new();
    let log = Log::open(LogOptions::new(other.log_dir.path(), "gw-2")).unwrap();
    let settings = SourceSettings {
        kind: "lines".to_owned(),
        ..SourceSettings::default()
    };
    let (_stop, stopping) = Stopping::new();
    let intake = Intake::new(&settings, log, Changes::default(), stopping).unwrap();
    let error = open(intake, &from).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot listen on") && error.contains("in use"),
        "{error}"
    );
    running.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let world = World::new();
    let running = world.start("tcp:127.0.0.1:0").await;
    let address = running.listen.unwrap();
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut client = BufReader::new(TcpStream::connect(address).await.unwrap());
        client.write_all(b"x\n").await.unwrap();
        reaches(&mut client, 1).await;
        open.push(client);
    }
    let mut late = BufReader::new(TcpStream::connect(address).await.unwrap());
    assert_eq!(answer(&mut late).await, "err 0 Too many connections\n");
    drop(open);
    running.stop().await;
}
