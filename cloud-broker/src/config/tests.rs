use std::path::Path;

use headwater_broker_core::catalog::Cleanup;
use headwater_settings::{Quota, Retention};

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    parse_with(text, &Flags::default())
}

fn parse_with(text: &str, flags: &Flags) -> Result<Config, String> {
    let file = Path::new("/etc/headwater/broker.toml");
    Config::parse(text, file, [], flags).map_err(|error| error.to_string())
}

fn open(config: &Config) -> Vec<String> {
    let all = config.listeners.all();
    let open = all.iter().filter_map(|(name, address, _)| {
        address
            .as_ref()
            .map(|address| format!("{name}={}", address.as_str()))
    });
    open.collect()
}

#[test]
fn every_key_of_the_reference_is_known_and_the_values_there_are_the_defaults() {
    let text = r##"
        data_dir = "/var/lib/headwater"
        store = "file:"
        advertise = "host"
        [listeners]
        mqtt = "0.0.0.0:1883"
        [tls]
        cert = "server.pem"
        key = "server.key"
        client_ca = "ca.pem"
        require_client_cert = false
        [auth]
        anonymous = "loopback"
        [mqtt]
        max_packet = "1MiB"
        server_keep_alive = "0s"
        topic_alias_max = 16
        receive_max = 1024
        [kafka]
        auto_create = true
        auto_create_partitions = 4
        max_request = "64MiB"
        group_min_session = "6s"
        [limits]
        connections = 20000
        lanes_per_device = 64
        request_memory = "128MiB"
        compaction_memory = "64MiB"
        disk_min_free = "5%"
        [[stream]]
        name = "events"
        filters = ["#"]
        partitions = 8
        retention = "7d"
        retention_bytes = "unlimited"
        cleanup = "delete"
        partition_by = "client"
        validation = "full"
        transient = false
    "##;
    let config = parse(text).expect("the reference");
    let defaults = parse("").expect("nothing");
    assert_eq!(config.mqtt, defaults.mqtt);
    assert_eq!(config.kafka, defaults.kafka);
    assert_eq!(config.limits, defaults.limits);
    assert_eq!(config.auth, defaults.auth);
    assert_eq!(config.stream, defaults.stream);
    assert_eq!(open(&config), ["mqtt=0.0.0.0:1883"]);
    let tls = config.tls.expect("section");
    assert_eq!(tls.cert, Path::new("/etc/headwater/server.pem"));
    assert_eq!(
        tls.client_ca.as_deref(),
        Some(Path::new("/etc/headwater/ca.pem"))
    );
}

#[test]
fn without_settings_there_are_two_streams_and_three_listeners() {
    let config = parse("").expect("nothing");
    let names: Vec<&str> = config
        .stream
        .iter()
        .map(|stream| stream.name.as_str())
        .collect();
    assert_eq!(names, ["events", "rejected"]);
    let usual = [
        "mqtt=127.0.0.1:1883",
        "kafka=127.0.0.1:9092",
        "http=127.0.0.1:8080",
    ];
    assert_eq!(open(&config), usual);
}

#[test]
fn tls_opens_three_more_listeners_unless_any_is_named() {
    let tls = "[tls]\ncert = \"c\"\nkey = \"k\"\n";
    assert_eq!(
        open(&parse(tls).expect("settings")),
        [
            "mqtt=127.0.0.1:1883",
            "mqtts=127.0.0.1:8883",
            "kafka=127.0.0.1:9092",
            "kafkas=127.0.0.1:9093",
            "http=127.0.0.1:8080",
            "https=127.0.0.1:8443",
        ]
    );
    let named = format!("{tls}[listeners]\nkafkas = \"[::1]:0\"\n");
    assert_eq!(open(&parse(&named).expect("settings")), ["kafkas=[::1]:0"]);
}

#[test]
fn flags_win_over_the_file() {
    let flags = Flags {
        data_dir: Some("here".into()),
        listeners: Listeners {
            http: Some("h:1".parse().expect("address")),
            ..Listeners::default()
        },
        ..Flags::default()
    };
    let text = "data_dir = \"there\"\n[listeners]\nmqtt = \"0.0.0.0:1\"\n";
    let config = parse_with(text, &flags).expect("settings");
    assert_eq!(config.data_dir.as_deref(), Some(Path::new("here")));
    assert_eq!(open(&config), ["http=h:1"]);
}

#[test]
fn declared_streams_replace_events_but_not_rejected() {
    let text = "[[stream]]\nname = \"a\"\nretention = \"forever\"\nretention_bytes = \"1GiB\"\n";
    let config = parse(text).expect("settings");
    let names: Vec<&str> = config
        .stream
        .iter()
        .map(|stream| stream.name.as_str())
        .collect();
    assert_eq!(names, ["a", "rejected"]);
    assert_eq!(config.stream[0].retention, Retention::Forever);
    assert_eq!(
        config.stream[0].retention_bytes,
        Quota::Bytes(Bytes::gib(1))
    );
    let spec = config.stream[0].spec();
    assert_eq!(
        (spec.retention_ms, spec.retention_bytes),
        (None, Some(1 << 30))
    );
    assert_eq!(spec.cleanup, Cleanup::Delete);
}

#[test]
fn a_key_without_its_feature_is_accepted_at_its_default_only() {
    let place = "/etc/headwater/broker.toml";
    for (text, line, key) in [
        ("store = \"s3://bucket\"\n", 1, "store"),
        ("[listeners]\nws = \"127.0.0.1:8083\"\n", 2, "listeners.ws"),
        (
            "[listeners]\nwss = \"127.0.0.1:8084\"\n",
            2,
            "listeners.wss",
        ),
        ("[auth]\nusers = \"users\"\n", 2, "auth.users"),
        ("[auth]\nacl = \"acl.toml\"\n", 2, "auth.acl"),
        (
            "[[stream]]\nname = \"a\"\ntransient = true\n",
            3,
            "stream[0].transient",
        ),
    ] {
        let error = format!("{place}:{line}: {key} is not supported yet");
        assert_eq!(parse(text), Err(error));
    }
    let ws = Flags {
        listeners: Listeners {
            ws: "h:1".parse().ok(),
            ..Listeners::default()
        },
        ..Flags::default()
    };
    assert_eq!(
        parse_with("", &ws),
        Err("listeners.ws is not supported yet".into())
    );
}

#[test]
fn values_that_cannot_be_are_refused_with_their_place() {
    let place = "/etc/headwater/broker.toml";
    for (text, line, message) in [
        (
            "[listeners]\nmqtts = \"h:1\"\n",
            2,
            "listeners.mqtts needs [tls]",
        ),
        (
            "[tls]\ncert = \"c\"\nkey = \"k\"\nrequire_client_cert = true\n",
            4,
            "tls.require_client_cert needs tls.client_ca",
        ),
        (
            "[mqtt]\nmax_packet = \"255KiB\"\n",
            2,
            "mqtt.max_packet must be at least 256KiB",
        ),
        (
            "[mqtt]\nserver_keep_alive = \"1500ms\"\n",
            2,
            "mqtt.server_keep_alive must be whole seconds, at most 65535s",
        ),
        (
            "[mqtt]\nreceive_max = 0\n",
            2,
            "mqtt.receive_max must be at least 1",
        ),
        (
            "[kafka]\nmax_request = \"2GiB\"\n",
            2,
            "kafka.max_request must be less than 2GiB",
        ),
        (
            "[limits]\nrequest_memory = \"1MiB\"\n",
            2,
            "limits.request_memory must be at least 128MiB, twice the largest request",
        ),
        (
            "[[stream]]\nname = \"a\"\n[[stream]]\nname = \"a\"\n",
            4,
            "stream[1].name is the name of two streams",
        ),
        (
            "[[stream]]\nname = \"a b\"\n",
            2,
            "stream[0].name: Stream name must be 1 to 200 of A-Z a-z 0-9 . _ -",
        ),
        (
            "[[stream]]\nname = \"a\"\nfilters = [\"a#\"]\n",
            3,
            "stream[0].filters: Not a topic filter: a#",
        ),
        (
            "[listeners]\nmqtt = \"1883\"\n",
            2,
            "key \"listeners.mqtt\": expected an address such as \"127.0.0.1:1883\", found \"1883\"",
        ),
        (
            "[mqtt]\nmax_paket = 1\n",
            2,
            "unknown key \"mqtt.max_paket\", did you mean \"max_packet\"?",
        ),
    ] {
        assert_eq!(parse(text), Err(format!("{place}:{line}: {message}")));
    }
}

#[test]
fn addresses_have_a_host_and_a_port() {
    for good in [
        "127.0.0.1:0",
        "[::1]:9092",
        "localhost:1883",
        "0.0.0.0:65535",
    ] {
        assert!(good.parse::<Address>().is_ok(), "{good}");
    }
    for bad in [
        "",
        ":1",
        "host",
        "host:",
        "host:65536",
        "::1:5",
        "host:x",
        "1883",
    ] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
}
