use std::path::Path;

use super::*;
use crate::config::Flags;

fn config(dir: &Path, text: &str) -> Config {
    let flags = Flags {
        data_dir: Some(dir.join("data")),
        ..Flags::default()
    };
    Config::parse(text, &dir.join("broker.toml"), [], &flags).expect("settings")
}

const ANY_PORTS: &str =
    "[listeners]\nmqtt = \"127.0.0.1:0\"\nkafka = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";

#[test]
fn the_ready_line_names_the_open_listeners_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let handle = run(config(dir.path(), ANY_PORTS)).expect("runs");
    let port = |name| handle.address(name).expect("open").port();
    let expected = format!(
        "ready mqtt=127.0.0.1:{} kafka=127.0.0.1:{} http=127.0.0.1:{}",
        port("mqtt"),
        port("kafka"),
        port("http")
    );
    assert_eq!(handle.ready_line(), expected);
    assert_eq!(handle.address("https"), None);
    handle.stop();
}

#[test]
fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let text = format!("[listeners]\nkafka = \"{address}\"\n");
    let error = run(config(dir.path(), &text)).expect_err("taken");
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("Cannot listen on kafka={address}: ")),
        "{message}"
    );
    assert!(!error.is_configuration());
}

#[test]
fn a_second_broker_on_a_data_directory_is_told_who_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let handle = run(config(dir.path(), ANY_PORTS)).expect("runs");
    let error = run(config(dir.path(), ANY_PORTS)).expect_err("in use");
    let message = error.to_string();
    let in_use = format!(" is in use by pid {}", std::process::id());
    assert!(
        message.starts_with("data directory ") && message.ends_with(&in_use),
        "{message}"
    );
    assert!(!error.is_configuration());
    handle.stop();
    run(config(dir.path(), ANY_PORTS))
        .expect("free again")
        .stop();
}

#[test]
fn missing_certificates_are_a_matter_of_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!("{ANY_PORTS}[tls]\ncert = \"none.pem\"\nkey = \"none.key\"\n");
    let error = run(config(dir.path(), &text)).expect_err("no file");
    assert!(error.is_configuration(), "{error}");
}
