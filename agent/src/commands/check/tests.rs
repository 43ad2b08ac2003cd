use x509_parser::time::ASN1Time;

use super::certificates::{Verdict, verdict};
use super::look;
use crate::config::Config;

const DAY_S: i64 = 24 * 3600;

fn at(seconds: i64) -> ASN1Time {
    ASN1Time::from_timestamp(seconds).unwrap()
}

fn config(dir: &std::path::Path, rest: &str) -> Config {
    let dir = dir.display();
    let text = format!("device = \"gw-1\"\ndata_dir = \"{dir}\"\nhttp = \"127.0.0.1:0\"\n{rest}");
    Config::parse(&text, "agent.toml", []).unwrap()
}

#[test]
fn a_certificate_is_judged_by_the_clock() {
    let now = 20_000 * DAY_S;
    let of = |from, until| verdict(now, at(now + from), at(now + until));
    assert_eq!(of(-DAY_S, 31 * DAY_S), Verdict::Valid);
    assert!(matches!(of(-DAY_S, 29 * DAY_S), Verdict::Soon(text) if text.contains("expires on")));
    assert!(matches!(of(-DAY_S, -1), Verdict::Bad(text) if text.contains("expired on")));
    assert!(
        matches!(of(DAY_S, 90 * DAY_S), Verdict::Bad(text) if text.contains("not valid before"))
    );
}

#[test]
fn taken_addresses_are_named_unless_the_agent_itself_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let sources = format!(
        "[[source]]\nkind = \"mqtt\"\nname = \"a\"\nlisten = \"{address}\"\n\
         [[source]]\nkind = \"lines\"\nname = \"b\"\nfrom = \"tcp:{address}\"\n"
    );
    let config = config(dir.path(), &sources);
    let found = look(&config);
    assert_eq!(found.device.as_deref(), Some("gw-1"));
    assert_eq!(found.errors.len(), 2, "{found:?}");
    for (error, source) in found.errors.iter().zip(["a", "b"]) {
        let text = format!("Source {source} cannot listen on {address}: ");
        assert!(error.starts_with(&text), "{error}");
    }

    let options = crate::log::LogOptions::new(dir.path(), "gw-1");
    let log = crate::log::Log::open(options).unwrap();
    let found = look(&config);
    assert!(found.errors.is_empty(), "{found:?}");
    assert!(found.warnings[0].contains("runs on"), "{found:?}");
    drop(log);
    assert_eq!(look(&config).errors.len(), 2, "it has ended");
}

#[test]
fn the_log_is_whose_it_says() {
    let dir = tempfile::tempdir().unwrap();
    drop(crate::log::Log::open(crate::log::LogOptions::new(dir.path(), "gw-2")).unwrap());
    let config = config(dir.path(), "[[source]]\nkind = \"system\"\n");
    let found = look(&config);
    assert!(found.errors[0].contains("\"gw-2\" by its log"), "{found:?}");
}
