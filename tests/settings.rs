//! What goes wrong before anything runs: each mistake has its exit code and its sentence.

use std::net::TcpListener;
use std::path::Path;

use headwater_tests::process::{Process, run_to_end};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// Runs `role run --config` on `settings` and gives exit code and stderr.
fn run_with(role: &str, settings: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings.toml");
    std::fs::write(
        &path,
        settings.replace("FOLDER", &folder.path().display().to_string()),
    )
    .expect("settings");
    run_to_end(
        program(),
        role,
        &["run", "--config", &path.display().to_string()],
    )
    .expect("it ends")
}

#[track_caller]
fn refuses(role: &str, settings: &str, code: i32, sentence: &str) {
    let (exit, log) = run_with(role, settings);
    assert!(
        exit == Some(code) && log.contains(sentence),
        "exit {exit:?}, not {code} with {sentence:?}:\n{log}"
    );
}

#[test]
fn unknown_keys_name_file_line_and_the_likely_key() {
    refuses(
        "agent",
        "[uplink]\nwindw = 3\n",
        2,
        r#"settings.toml:2: unknown key "uplink.windw", did you mean "window"?"#,
    );
    refuses(
        "broker",
        "\n\n[kafka]\nauto_creat = true\n",
        2,
        r#"settings.toml:4: unknown key "kafka.auto_creat", did you mean "auto_create"?"#,
    );
}

#[test]
fn keys_whose_feature_is_not_there_are_refused_away_from_their_default() {
    refuses(
        "broker",
        "data_dir = \"FOLDER/b\"\n[auth]\nacl = \"acl.toml\"\n",
        2,
        "auth.acl is not supported yet",
    );
}

#[test]
fn wrong_values_are_refused() {
    for settings in [
        "[mqtt]\nmax_packet = \"1KiB\"\n",
        "[mqtt]\nreceive_max = -1\n",
        "[listeners]\nmqtt = 7\n",
        "[[stream]]\nname = \"a b\"\n",
    ] {
        let (exit, log) = run_with("broker", settings);
        assert_eq!(exit, Some(2), "{settings}: {log}");
    }
    for settings in [
        "[uplink]\nkeep_alive = \"1s\"\n",
        "[log]\nmax_bytes = \"1KiB\"\n",
        "[[source]]\nkind = \"nothing\"\nname = \"x\"\n",
    ] {
        let (exit, log) = run_with("agent", settings);
        assert_eq!(exit, Some(2), "{settings}: {log}");
    }
}

#[test]
fn a_tls_listener_without_tls_is_a_usage_error() {
    refuses(
        "broker",
        "data_dir = \"FOLDER/b\"\n[listeners]\nmqtts = \"127.0.0.1:0\"\n",
        2,
        "mqtts",
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    for door in ["mqtt", "kafka", "http"] {
        let settings =
            format!("data_dir = \"FOLDER/b\"\n[listeners]\n{door} = \"127.0.0.1:{port}\"\n");
        refuses("broker", &settings, 1, &port.to_string());
    }
    let settings = format!(
        "data_dir = \"FOLDER/a\"\nhttp = \"127.0.0.1:{port}\"\n[[source]]\nkind = \"mqtt\"\nname = \"l\"\nlisten = \"127.0.0.1:0\"\n"
    );
    refuses("agent", &settings, 1, &port.to_string());
}

#[test]
fn a_data_directory_has_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("broker").display().to_string();
    let arguments = ["run", "--data-dir", &data, "--mqtt", "127.0.0.1:0"];
    let first = Process::start(program(), "broker", &arguments).expect("a broker");
    let (exit, log) = run_to_end(program(), "broker", &arguments).expect("it ends");
    let sentence = format!("data directory {data} is in use by pid {}", first.id());
    assert!(
        exit == Some(1) && log.contains(&sentence),
        "{exit:?}: {log}"
    );

    let settings = folder.path().join("agent.toml");
    let data = folder.path().join("agent").display().to_string();
    let text = format!(
        "data_dir = \"{data}\"\nhttp = \"127.0.0.1:0\"\n[[source]]\nkind = \"mqtt\"\nname = \"l\"\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&settings, text).expect("settings");
    let settings = settings.display().to_string();
    let first =
        Process::start(program(), "agent", &["run", "--config", &settings]).expect("an agent");
    let (exit, log) =
        run_to_end(program(), "agent", &["run", "--config", &settings]).expect("it ends");
    let sentence = format!("data directory {data} is in use by pid {}", first.id());
    assert!(
        exit == Some(1) && log.contains(&sentence),
        "{exit:?}: {log}"
    );
}

#[test]
fn both_end_with_0_on_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("broker").display().to_string();
    let mut broker = Process::start(
        program(),
        "broker",
        &["run", "--data-dir", &data, "--mqtt", "127.0.0.1:0"],
    )
    .expect("a broker");
    assert!(
        broker.terminate().expect("an end").success(),
        "{}",
        broker.log()
    );
}
