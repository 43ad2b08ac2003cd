//! Whole agents, on free ports and in folders of their own.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::*;

fn config(dir: &Path, more: &str) -> Config {
    let text = format!(
        "data_dir = {dir:?}\nhttp = \"127.0.0.1:0\"\n{more}\n[[source]]\nkind = \"mqtt\"\nlisten = \"127.0.0.1:0\"\n"
    );
    Config::parse(&text, "agent.toml", []).unwrap()
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    // The answer to a hostile request may come before the request is over.
    let _maybe_cut = socket.write_all(request);
    let mut answer = Vec::new();
    let _maybe_reset = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    )
}

fn status(agent: &Agent) -> Value {
    let answer = get(agent.addresses().http, "/status");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// CONNECT and one PUBLISH of QoS 1, MQTT 3.1.1; whether it was acknowledged.
fn publish(address: SocketAddr) -> bool {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c\x32\x06\0\x01a\0\x01x")
        .unwrap();
    let mut answer = [0; 8];
    socket
        .read_exact(&mut answer)
        .is_ok_and(|()| answer == *b"\x20\x02\0\0\x40\x02\0\x01")
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn an_agent_takes_an_event_and_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(config(dir.path(), "device = \"gw-1\"")).unwrap();
    assert!(publish(agent.addresses().mqtt.unwrap()));
    let status = status(&agent);
    assert_eq!(
        keys(&status),
        [
            "alarms", "boot", "device", "lanes", "link", "log", "sources", "version"
        ]
    );
    assert_eq!(keys(&status["link"]), ["error", "since_ms", "state"]);
    assert_eq!(
        keys(&status["log"]),
        ["bytes", "max_bytes", "synced_commits", "written_bytes"]
    );
    let source = &status["sources"][0];
    assert_eq!(
        keys(source),
        ["error", "events", "kind", "name", "rejected", "state"]
    );
    assert_eq!(
        (&source["events"], &status["device"]),
        (&1.into(), &"gw-1".into())
    );
    let lane = &status["lanes"][0];
    assert_eq!(
        (&lane["stream"], &lane["next"], &lane["acked"]),
        (&"events".into(), &1.into(), &0.into())
    );
    assert_eq!(lane["state"], "open");

    let http = agent.addresses().http;
    assert!(get(http, "/healthz").ends_with("\r\n\r\nok"));
    assert!(get(http, "/readyz").ends_with("{\"ready\":true}"));
    assert!(get(http, "/metrics").contains("headwater_agent_events_total{source=\"mqtt\"} 1\n"));
    agent.stop().unwrap();
}

#[test]
fn http_answers_nonsense_with_errors() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(config(dir.path(), "device = \"gw-1\"")).unwrap();
    let http = agent.addresses().http;
    assert!(get(http, "/nothing").starts_with("HTTP/1.1 404"));
    assert!(ask(http, b"POST /status HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert_eq!(ask(http, b"\xff\xff\r\n\r\n"), "");
    let endless = vec![b'x'; 64 * 1024];
    let answer = ask(http, &endless);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert!(get(http, "/healthz").ends_with("ok"));
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "device = \"gw-1\"");
    config.source[0].listen = Some(address.to_string());
    let error = Agent::start(config.clone()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("Source mqtt cannot listen on {address}")),
        "{error}"
    );
    config.source[0].listen = None;
    config.source.clear();
    config.http = address.to_string();
    let error = Agent::start(config).unwrap_err().to_string();
    assert!(
        error.contains(&format!("http cannot listen on {address}")),
        "{error}"
    );
}

#[test]
fn a_second_agent_on_the_data_directory_is_told_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = Agent::start(config(dir.path(), "device = \"gw-1\"")).unwrap();
    let error = Agent::start(config(dir.path(), "device = \"gw-1\""))
        .unwrap_err()
        .to_string();
    let pid = std::process::id();
    assert!(
        error.ends_with(&format!("is in use by pid {pid}")),
        "{error}"
    );
    first.stop().unwrap();
    Agent::start(config(dir.path(), "device = \"gw-1\""))
        .unwrap()
        .stop()
        .unwrap();
}

#[test]
fn a_contradicted_name_keeps_the_link_down_and_the_intake_up() {
    let dir = tempfile::tempdir().unwrap();
    Agent::start(config(dir.path(), "device = \"gw-1\""))
        .unwrap()
        .stop()
        .unwrap();
    let renamed = config(
        dir.path(),
        "device = \"gw-2\"\n[uplink]\nurl = \"mqtt://127.0.0.1:1\"",
    );
    let agent = Agent::start(renamed).unwrap();
    assert!(publish(agent.addresses().mqtt.unwrap()));
    let status = status(&agent);
    assert_eq!(status["device"], "gw-1");
    assert_eq!(status["link"]["state"], "down");
    let error = status["link"]["error"].as_str().unwrap();
    assert!(
        error.contains("\"gw-1\"") && error.contains("\"gw-2\""),
        "{error}"
    );
}

#[test]
fn files_that_are_missing_are_settings_errors() {
    let dir = tempfile::tempdir().unwrap();
    let more = "device = \"gw-1\"\n[uplink]\nurl = \"mqtts://x\"\nca = \"/nowhere/ca.pem\"";
    let error = Agent::start(config(dir.path(), more)).unwrap_err();
    assert!(
        matches!(&error, RunError::Settings(why) if why.contains("uplink.ca")),
        "{error}"
    );
}
