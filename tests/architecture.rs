//! Who may depend on whom. The table below is the architecture: an arrow that is not in it
//! does not exist, and a new one is added here in the commit that needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Crate, folder, and the crates of this project that it may depend on.
const MAY_DEPEND_ON: &[(&str, &str, &[&str])] = &[
    ("headwater-wire", "firmware/wire", &[]),
    ("headwater-settings", "agent/settings", &[]),
    ("headwater-mqtt", "agent/mqtt", &[]),
    ("headwater-agent-core", "agent/core", &["headwater-wire"]),
    (
        "headwater-agent",
        "agent",
        &[
            "headwater-wire",
            "headwater-mqtt",
            "headwater-settings",
            "headwater-agent-core",
        ],
    ),
    ("headwater-kafka", "cloud-broker/kafka", &[]),
    (
        "headwater-broker-core",
        "cloud-broker/core",
        &["headwater-wire"],
    ),
    (
        "headwater-store",
        "cloud-broker/store",
        &["headwater-wire", "headwater-broker-core"],
    ),
    (
        "headwater-broker",
        "cloud-broker",
        &[
            "headwater-wire",
            "headwater-mqtt",
            "headwater-settings",
            "headwater-broker-core",
            "headwater-kafka",
            "headwater-store",
        ],
    ),
];

/// Nothing may depend on these; they may depend on anything.
const LEAVES: &[(&str, &str)] = &[
    ("headwater-tests", "tests"),
    ("headwater-examples", "examples"),
];

/// What a core's manifest must not name: runtimes, sockets, files, randomness.
const NOT_IN_A_CORE: &[&str] = &[
    "tokio",
    "redb",
    "rustls",
    "rumqttc",
    "getrandom",
    "object_store",
    "rustix",
    "socket2",
];

/// What a core's source must not name: clocks, files, sockets, threads, unordered iteration.
const NOT_IN_CORE_SOURCE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::thread",
    "HashMap",
    "HashSet",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn dependencies(manifest: &toml::Table, kinds: &[&str]) -> Vec<String> {
    let of_kind = |kind: &&str| manifest.get(*kind).and_then(|v| v.as_table()).cloned();
    kinds
        .iter()
        .filter_map(of_kind)
        .flat_map(|table| table.keys().cloned().collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_member_has_its_place_in_the_table() {
    let workspace = manifest(".");
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("members");
    let mut listed: Vec<&str> = members.iter().filter_map(|m| m.as_str()).collect();
    let mut expected: Vec<&str> = MAY_DEPEND_ON.iter().map(|(_, folder, _)| *folder).collect();
    expected.extend(LEAVES.iter().map(|(_, folder)| *folder));
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn dependencies_point_one_way() {
    for (name, folder, allowed) in MAY_DEPEND_ON {
        let manifest = manifest(folder);
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(*name),
            "{folder}"
        );
        for dependency in dependencies(
            &manifest,
            &["dependencies", "build-dependencies", "dev-dependencies"],
        ) {
            let ours = dependency.starts_with("headwater");
            assert!(
                !ours || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn a_core_has_no_runtime_clock_socket_or_file() {
    for folder in ["agent/core", "cloud-broker/core"] {
        for dependency in dependencies(&manifest(folder), &["dependencies"]) {
            assert!(
                !NOT_IN_A_CORE.contains(&dependency.as_str()),
                "{folder} must not depend on {dependency}"
            );
        }
        for (path, text) in sources(&root().join(folder).join("src")) {
            for word in NOT_IN_CORE_SOURCE {
                assert!(
                    !text.contains(word),
                    "{} must not name {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_wire_and_the_codecs_do_no_io() {
    for folder in ["firmware/wire", "agent/mqtt", "cloud-broker/kafka"] {
        for (path, text) in sources(&root().join(folder).join("src")) {
            for word in ["std::net", "std::fs", "Instant::now", "SystemTime", "tokio"] {
                assert!(
                    !text.contains(word),
                    "{} must not name {word}",
                    path.display()
                );
            }
        }
    }
}

/// Production sources; a core's tests may use what they like.
fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("readable folder").path();
        if path.is_dir() && path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable source");
            found.insert(path, text);
        }
    }
    found
}
