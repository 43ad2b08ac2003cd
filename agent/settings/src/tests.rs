use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default)]
struct Config {
    device: String,
    uplink: Uplink,
    log: Log,
    stream: Vec<Stream>,
    source: Vec<Source>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default)]
struct Uplink {
    url: String,
    window: u16,
    ca: Option<String>,
    require: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default)]
struct Log {
    max_bytes: Bytes,
    overflow: Overflow,
    batch_age: Span,
    disk_min_free: Percent,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Overflow {
    Reject,
    DropOldest,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Stream {
    name: String,
    #[serde(default)]
    filters: Vec<String>,
    retention: Option<Retention>,
    retention_bytes: Option<Quota>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Source {
    Mqtt { listen: String },
    System { interval: Span },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: "gw".into(),
            uplink: Uplink::default(),
            log: Log::default(),
            stream: Vec::new(),
            source: Vec::new(),
        }
    }
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            url: String::new(),
            window: 16,
            ca: None,
            require: false,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            max_bytes: Bytes::gib(1),
            overflow: Overflow::Reject,
            batch_age: Span::from_secs(1),
            disk_min_free: Percent::new(5),
        }
    }
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded<Config>, SettingsError> {
    let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    load(text, "agent.toml", env.collect::<Vec<_>>())
}

fn error(text: &str) -> String {
    load_with(text, &[]).unwrap_err().to_string()
}

fn env_error(env: &[(&str, &str)]) -> String {
    load_with("", env).unwrap_err().to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let loaded = load_with("", &[]).unwrap();
    assert_eq!(loaded.settings, Config::default());
    assert_eq!(loaded.places.at("uplink.url"), None);
}

#[test]
fn values_with_units_are_read() {
    let text = r#"
        [log]
        max_bytes = "64MiB"
        overflow = "drop-oldest"
        batch_age = "10min"
        disk_min_free = "0.5%"
        [[stream]]
        name = "a"
        retention = "7d"
        retention_bytes = "unlimited"
        [[stream]]
        name = "b"
        retention = "forever"
        retention_bytes = 1000
        [[source]]
        kind = "system"
        interval = "100ms"
    "#;
    let config = load_with(text, &[]).unwrap().settings;
    assert_eq!(config.log.max_bytes, Bytes::mib(64));
    assert_eq!(config.log.overflow, Overflow::DropOldest);
    assert_eq!(config.log.batch_age, Span::from_secs(600));
    assert_eq!(config.log.disk_min_free.of(1_000_000), 5_000);
    assert_eq!(config.stream[0].retention.unwrap().ms(), Some(604_800_000));
    assert_eq!(config.stream[0].retention_bytes, Some(Quota::Unlimited));
    assert_eq!(config.stream[1].retention, Some(Retention::Forever));
    assert_eq!(
        config.stream[1].retention_bytes.unwrap().bytes(),
        Some(1000)
    );
    let interval = Span::from_ms(100);
    assert_eq!(config.source, [Source::System { interval }]);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_a_suggestion() {
    assert_eq!(
        error("# first line\n[uplink]\nwindw = 3\n"),
        r#"agent.toml:3: unknown key "uplink.windw", did you mean "window"?"#
    );
    assert_eq!(
        error("[uplink]\nurl = \"x\"\nsomething_else = 3\n"),
        r#"agent.toml:3: unknown key "uplink.something_else""#
    );
    assert_eq!(
        error("[[stream]]\nname = \"a\"\n\n[[stream]]\nname = \"b\"\nfilter = []\n"),
        r#"agent.toml:6: unknown key "stream[1].filter", did you mean "filters"?"#
    );
    assert_eq!(
        error("[[source]]\nkind = \"mqtt\"\nlisten = \"a\"\nintervall = 3\n"),
        r#"agent.toml:4: unknown key "source[0].intervall""#
    );
    assert_eq!(
        error("[upling]\n"),
        r#"agent.toml:1: unknown key "upling", did you mean "uplink"?"#
    );
}

#[test]
fn the_first_unknown_key_of_the_file_is_reported() {
    let text = "[uplink]\nzzzzzz = 1\naaaaaa = 2\n";
    assert_eq!(error(text), r#"agent.toml:2: unknown key "uplink.zzzzzz""#);
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    let cases = [
        (
            "[uplink]\nwindow = \"many\"\n",
            "agent.toml:2: key \"uplink.window\": expected a whole number from 0 to 65535, found string \"many\"",
        ),
        (
            "[uplink]\nwindow = 70000\n",
            "agent.toml:2: key \"uplink.window\": expected a whole number from 0 to 65535, found integer `70000`",
        ),
        (
            "[uplink]\nrequire = 1\n",
            "agent.toml:2: key \"uplink.require\": expected true or false, found integer `1`",
        ),
        (
            "uplink = 5\n",
            "agent.toml:1: key \"uplink\": expected a table, found integer `5`",
        ),
        (
            "[log]\noverflow = \"explode\"\n",
            "agent.toml:2: key \"log.overflow\": unknown value \"explode\", expected \"reject\" or \"drop-oldest\"",
        ),
        (
            "[log]\nbatch_age = 5\n",
            "agent.toml:2: key \"log.batch_age\": expected a time such as \"10min\", found integer `5`",
        ),
        (
            "[log]\nmax_bytes = \"many\"\n",
            "agent.toml:2: key \"log.max_bytes\": expected a size such as \"64MiB\", found \"many\"",
        ),
        (
            "[log]\ndisk_min_free = \"101%\"\n",
            "agent.toml:2: key \"log.disk_min_free\": \"101%\" is more than 100%",
        ),
        (
            "[[stream]]\nretention = \"7d\"\n",
            "agent.toml:1: missing key \"stream[0].name\"",
        ),
        (
            "[[stream]]\nname = \"a\"\nretention = \"long\"\n",
            "agent.toml:3: key \"stream[0].retention\": expected a time such as \"7d\", or \"forever\", found \"long\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn bad_syntax_is_named_with_its_line() {
    assert!(error("[uplink]\nurl = \n").starts_with("agent.toml:2: "));
    assert!(error("a = 1\na = 2\n").starts_with("agent.toml:2: "));
}

#[test]
fn the_environment_replaces_scalars() {
    let env = [
        ("HEADWATER_UPLINK__URL", "mqtt://b:1883"),
        ("HEADWATER_UPLINK__WINDOW", "8"),
        ("HEADWATER_UPLINK__REQUIRE", "true"),
        ("HEADWATER_LOG__MAX_BYTES", "2GiB"),
        ("HEADWATER_LOG__OVERFLOW", "drop-oldest"),
        ("HEADWATER_DEVICE", "gw-7"),
        ("PATH", "/bin"),
    ];
    let loaded = load_with("[uplink]\nwindow = 3\n", &env).unwrap();
    let config = loaded.settings;
    assert_eq!(config.uplink.url, "mqtt://b:1883");
    assert_eq!(config.uplink.window, 8);
    assert!(config.uplink.require);
    assert_eq!(config.log.max_bytes, Bytes::gib(2));
    assert_eq!(config.log.overflow, Overflow::DropOldest);
    assert_eq!(config.device, "gw-7");
    assert_eq!(
        loaded.places.at("uplink.window"),
        Some("HEADWATER_UPLINK__WINDOW")
    );
}

#[test]
fn the_environment_is_checked_like_the_file() {
    assert_eq!(
        env_error(&[("HEADWATER_UPLINK__WINDW", "8")]),
        r#"HEADWATER_UPLINK__WINDW: unknown key "uplink.windw", did you mean "window"?"#
    );
    assert_eq!(
        env_error(&[("HEADWATER_UPLINK__WINDOW", "x")]),
        "HEADWATER_UPLINK__WINDOW: key \"uplink.window\": expected a whole number from 0 to 65535, found string \"x\""
    );
    let text = "[[stream]]\nname = \"a\"\n";
    let env = [("HEADWATER_STREAM__NAME", "b")];
    let error = load_with(text, &env).unwrap_err().to_string();
    assert_eq!(
        error,
        "HEADWATER_STREAM__NAME: \"stream\" is not a scalar, lists and tables come from the file"
    );
}

#[test]
fn names_that_a_container_system_invents_are_passed_over() {
    let env = [
        ("HEADWATER_PORT_1883_TCP", "tcp://10.0.0.1:1883"),
        ("HEADWATER_SERVICE_HOST", "10.0.0.1"),
    ];
    assert_eq!(load_with("", &env).unwrap().settings, Config::default());
}

#[test]
fn a_value_can_be_refused_later_with_its_place() {
    let loaded = load_with("[uplink]\n\nca = \"x\"\n", &[]).unwrap();
    let ca = loaded.settings.uplink.ca;
    let refused = loaded.places.only_default("uplink.ca", &ca, &None);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "agent.toml:3: uplink.ca is not supported yet"
    );
    let flag = loaded.places.error("listeners.ws", "is not supported yet");
    assert_eq!(flag.to_string(), "listeners.ws is not supported yet");
}

#[test]
fn sizes_and_times_print_as_they_are_written() {
    assert_eq!(Bytes::mib(64).to_string(), "64MiB");
    assert_eq!(Bytes(1000).to_string(), "1000B");
    assert_eq!(Span::from_ms(1500).to_string(), "1s 500ms");
    assert_eq!("99999EiB".parse::<Bytes>().ok(), None);
    assert_eq!("1us".parse::<Span>().ok(), None);
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let file = Path::new("/etc/headwater/broker.toml");
    let cert = Path::new("/etc/headwater/server.pem");
    assert_eq!(beside(file, Path::new("server.pem")), cert);
    assert_eq!(beside(file, Path::new("/a/b.pem")), Path::new("/a/b.pem"));
    assert_eq!(
        beside(Path::new("x.toml"), Path::new("b.pem")),
        Path::new("b.pem")
    );
}

/// Text that is close to a settings file, so that the properties reach past the parser.
fn nearly_toml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[uplink]",
        "[log]",
        "[[stream]]",
        "[[source]]",
        "[",
        "]",
        "url",
        "window",
        "name",
        "kind",
        "max_bytes",
        "retention",
        "filters",
        " = ",
        "\"7d\"",
        "\"64MiB\"",
        "5%",
        "1e999",
        "99999999999999999999",
        "-1",
        "true",
        "\n",
        ".",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "\u{e9}",
        "#",
        "2026-01-01",
        "nan",
        "\"mqtt\"",
        "0x",
        "\"99999999999y\"",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_gives_settings_or_an_error(text in ".*") {
        let _ = load_with(&text, &[]);
    }

    #[test]
    fn any_near_miss_gives_settings_or_an_error_with_a_line(text in nearly_toml()) {
        if let Err(error) = load_with(&text, &[]) {
            prop_assert!(error.to_string().starts_with("agent.toml:"), "{}", error);
        }
    }

    #[test]
    fn any_environment_gives_settings_or_an_error(name in "[A-Z_]{0,20}", value in ".*") {
        let name = format!("HEADWATER_{name}");
        let _ = load_with("[[stream]]\nname = \"a\"\n", &[(&name, &value)]);
    }

    #[test]
    fn any_unit_text_gives_a_value_or_an_error(text in "[0-9.]{0,25} ?[a-zA-Z%]{0,5}") {
        let _ = text.parse::<Bytes>();
        let _ = text.parse::<Span>();
        let _ = text.parse::<Percent>();
        let _ = text.parse::<Retention>();
        let _ = text.parse::<Quota>();
    }

    #[test]
    fn printed_bytes_and_spans_are_read_back(n in 0..i64::MAX.unsigned_abs(), ms in 0..1_u64 << 50) {
        prop_assert_eq!(Bytes(n).to_string().parse(), Ok(Bytes(n)));
        prop_assert_eq!(Span::from_ms(ms).to_string().parse(), Ok(Span::from_ms(ms)));
    }
}
