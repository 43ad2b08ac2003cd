//! Connections that say nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use headwater_tests::broker::Broker;
use headwater_tests::process;
use headwater_tests::source::connect;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::say;

/// How long they are left alone.
const QUIET: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
const PINGREQ: &[u8] = b"\xc0\0";
/// ApiVersions, version 0, without a client id.
const API_VERSIONS: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

pub(super) fn measure(connections: usize) -> Result<(), String> {
    raise_file_limit()?;
    let broker = Broker::start(&process::node())?;
    let process = broker.process();
    let memory = || process.resident_bytes().unwrap_or(0);
    let fewer = connections / 10;
    let clients = [
        ("mqtt", connections, connect("idle"), PINGREQ),
        ("kafka", fewer, API_VERSIONS.to_vec(), API_VERSIONS),
        ("http", fewer, GET.to_vec(), GET),
    ];
    let mut all = Vec::new();
    for (door, count, hello, ping) in clients {
        let before = memory();
        let links = open(process.address(door), count, &hello, door == "mqtt")?;
        let each = memory().saturating_sub(before) / count.max(1) as u64;
        say(&format!("{count} {door} connections: {each} bytes each"));
        all.push((door, links, ping));
    }
    let before = process.cpu().unwrap_or_default();
    std::thread::sleep(QUIET);
    let spent = process.cpu().unwrap_or_default().saturating_sub(before);
    let share = spent.as_secs_f64() / QUIET.as_secs_f64() * 100.0;
    say(&format!(
        "all of them for {} s: {share:.2} % of a core, {} MiB resident",
        QUIET.as_secs(),
        memory() >> 20
    ));
    for (door, links, ping) in &mut all {
        let alive = links.iter_mut().filter_map(|link| ask(link, ping).ok());
        say(&format!(
            "{} {door} connections still answer",
            alive.count()
        ));
    }
    Ok(())
}

/// As many open files as are permitted.
pub(super) fn raise_file_limit() -> Result<(), String> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|e| e.to_string())
}

/// Opens connections that are greeted and have had one answer.
fn open(
    door: SocketAddr,
    count: usize,
    hello: &[u8],
    numbered: bool,
) -> Result<Vec<TcpStream>, String> {
    let open = |number: usize| {
        let mut link = TcpStream::connect(door)?;
        link.set_read_timeout(Some(TIMEOUT))?;
        // Each MQTT client has its own id, or it would take over the one before.
        let own = connect(&format!("idle-{number}"));
        ask(&mut link, if numbered { &own } else { hello })?;
        Ok(link)
    };
    let links: Result<Vec<_>, std::io::Error> = (0..count).map(open).collect();
    links.map_err(|error| format!("{door}: {error}"))
}

fn ask(link: &mut TcpStream, question: &[u8]) -> std::io::Result<()> {
    link.write_all(question)?;
    let mut answer = [0; 4096];
    match link.read(&mut answer)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
