use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "agent.toml", []).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    parse(text)
        .map(|config| format!("accepted: {config:?}"))
        .unwrap_or_else(|error| error)
}

#[test]
fn nothing_means_one_mqtt_source() {
    let config = parse("").unwrap();
    assert_eq!(config.source.len(), 1);
    assert_eq!(
        (config.source[0].kind.as_str(), config.source[0].name()),
        ("mqtt", "mqtt")
    );
    assert_eq!(config.source[0].stream(), "events");
    assert_eq!(config.http, "127.0.0.1:8090");
    assert_eq!(config.uplink.urls().unwrap(), Vec::new());
}

#[test]
fn all_documented_keys_are_known() {
    let config = parse(
        r#"
        device = "gw-1"
        data_dir = "/var/lib/headwater-agent"
        http = "127.0.0.1:8090"
        [log]
        max_bytes = "1GiB"
        overflow = "reject"
        commit_interval = "0ms"
        batch_bytes = 64000
        batch_age = "1s"
        zstd_level = 1
        keep_acked = "10min"
        [uplink]
        url = ["mqtts://broker:8883", "mqtts://other"]
        ca = "ca.pem"
        cert = "gw-1.pem"
        key = "gw-1.key"
        window = 16
        user = "gw-1"
        password_file = "password"
        keep_alive = "5min"
        on_missing_stream = "hold"
        [[source]]
        kind = "mqtt"
        name = "local"
        stream = "events"
        topic = "{topic}"
        listen = "127.0.0.1:1884"
        [[source]]
        kind = "system"
        interval = "1s"
        "#,
    )
    .unwrap();
    assert_eq!(config.uplink.urls().unwrap().len(), 2);
    assert_eq!(config.source[1].interval.unwrap().ms(), 1000);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let cases = [
        (
            "[uplink]\nwindw = 1",
            "agent.toml:2: unknown key \"uplink.windw\", did you mean \"window\"?",
        ),
        (
            "[uplink]\nkeep_alive = \"4s\"",
            "agent.toml:2: uplink.keep_alive must be between",
        ),
        ("[uplink]\non_missing_stream = \"wait\"", "agent.toml:2: "),
        ("[[source]]\nkind = \"lines\"", "source[0].from is missing"),
        (
            "[[source]]\nkind = \"canbus\"",
            "agent.toml:2: source[0].kind \"canbus\" is not supported",
        ),
        (
            "[[source]]\nkind = \"lines\"\nfrom = \"fil:/x\"",
            "agent.toml:3: source[0].from \"fil:/x\" is none of stdin, file:PATH",
        ),
        (
            "[[source]]\nkind = \"lines\"\nname = \"a\"\nfrom = \"stdin\"\n\
             [[source]]\nkind = \"lines\"\nname = \"b\"\nfrom = \"stdin\"",
            "agent.toml:8: source[1].from is stdin, which another source reads",
        ),
        (
            "[[source]]\nkind = \"lines\"\nfrom = \"stdin\"\nlisten = \"127.0.0.1:1\"",
            "agent.toml:4: source[0].listen means nothing",
        ),
        (
            "[[source]]\nkind = \"mqtt\"\ntopic = \"{x}\"",
            "agent.toml:3: source[0].topic has unknown",
        ),
        (
            "[[source]]\nkind = \"mqtt\"\n[[source]]\nkind = \"mqtt\"",
            "is taken by another source",
        ),
        (
            "[log]\nmax_bytes = \"1MiB\"",
            "agent.toml:2: log.max_bytes must be at least",
        ),
        (
            "[log]\ncommit_interval = \"2s\"",
            "agent.toml:2: log.commit_interval must not be longer",
        ),
        (
            "[uplink]\nurl = \"http://x\"",
            "agent.toml:2: uplink.url \"http://x\" is no broker",
        ),
        ("[uplink]\nurl = \"mqtts://x\"", "uplink.ca is needed"),
        (
            "[uplink]\ncert = \"x\"",
            "agent.toml:2: uplink.cert needs the other",
        ),
        (
            "[uplink]\nwindow = 64",
            "agent.toml:2: uplink.window must be between",
        ),
        ("device = \"a b\"", "agent.toml:1: device may have letters"),
    ];
    for (text, expected) in cases {
        let error = refused(text);
        assert!(error.contains(expected), "{text}\n  gave {error}");
    }
}

#[test]
fn topics_that_are_not_a_source_s_are_refused_as_far_as_they_are_known() {
    let cases = [
        ("[[source]]\nkind = \"mqtt\"\ntopic = \"$x/{topic}\"", 3),
        ("[[source]]\nkind = \"system\"\ntopic = \"cmd/{name}\"", 3),
        (
            "[[source]]\nkind = \"system\"\nname = \"cmd\"\ntopic = \"{source}/{name}\"",
            4,
        ),
        (
            "device = \"cmd\"\n[[source]]\nkind = \"mqtt\"\ntopic = \"{device}/{topic}\"",
            4,
        ),
    ];
    for (text, line) in cases {
        let expected = format!("agent.toml:{line}: source[0].topic begins with $ or cmd/");
        let error = refused(text);
        assert!(error.contains(&expected), "{text}\n  gave {error}");
    }
    let fine = "[[source]]\nkind = \"mqtt\"\ntopic = \"cmdx/$/{topic}\"";
    Config::parse(fine, "agent.toml", []).unwrap();
}

#[test]
fn the_environment_reaches_scalars() {
    let env = [(
        "HEADWATER_UPLINK__URL".to_owned(),
        "mqtt://there".to_owned(),
    )];
    let config = Config::parse("", "agent.toml", env).unwrap();
    assert_eq!(config.uplink.urls().unwrap()[0].host, "there");
}
