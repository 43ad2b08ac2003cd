//! Habits that a compiler does not check: every test and example is listed, no file grows past
//! 500 lines, nothing is left half done, and the top level stays as it is.

use std::path::{Path, PathBuf};

/// A production or test file longer than this is two files.
const FILE_LINES_MAX: usize = 500;

/// What may stand at the top level, dot-files apart.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "agent",
    "cloud-broker",
    "firmware",
    "tests",
    "examples",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "target",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

/// Every file of the project, build output and vendored files left out.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            let skip = [
                "target",
                "vendor",
                "data",
                "node_modules",
                "corpus",
                "__pycache__",
                ".git",
            ];
            if !skip.contains(&name) {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn project_files(extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found.sort();
    let read = |path: PathBuf| {
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, text)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn every_test_bench_and_example_is_listed() {
    for (folder, kinds) in [
        ("tests", &["test", "bin", "bench"][..]),
        ("examples", &["bin"][..]),
    ] {
        let folder = root().join(folder);
        let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml"))
            .expect("manifest")
            .parse()
            .expect("valid manifest");
        let listed: Vec<&str> = kinds
            .iter()
            .filter_map(|kind| manifest.get(*kind)?.as_array())
            .flatten()
            .filter_map(|target| target.get("path")?.as_str())
            .collect();
        for place in ["", "benches"] {
            let Ok(entries) = std::fs::read_dir(folder.join(place)) else {
                continue;
            };
            for entry in entries {
                let path = entry.expect("readable entry").path();
                if path.extension().is_some_and(|e| e == "rs") {
                    let name = path
                        .strip_prefix(&folder)
                        .expect("inside")
                        .to_str()
                        .expect("UTF-8")
                        .to_owned();
                    assert!(
                        listed.contains(&name.as_str()),
                        "{} is not listed in Cargo.toml",
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_it_can_be_read() {
    for extension in ["rs", "py", "js", "css"] {
        for (path, text) in project_files(extension) {
            let lines = text.lines().count();
            assert!(
                lines <= FILE_LINES_MAX,
                "{} has {lines} lines",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_half_done() {
    // Put together here, so that this file does not find itself.
    let marks = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["#[ig", "nore"],
    ];
    for (path, text) in project_files("rs") {
        for mark in &marks {
            let mark = mark.concat();
            assert!(!text.contains(&mark), "{} contains {mark}", path.display());
        }
    }
}

#[test]
fn the_top_level_is_fixed() {
    for entry in std::fs::read_dir(root()).expect("readable root") {
        let name = entry
            .expect("readable entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        assert!(
            name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()) || name == "headwater-data",
            "{name} does not belong at the top level"
        );
    }
}

#[test]
fn every_workspace_crate_takes_the_lints() {
    for (path, text) in project_files("toml") {
        if path.ends_with("Cargo.toml")
            && text.contains("[package]")
            && !path.starts_with(root().join("tests/fuzz"))
        {
            assert!(
                text.contains("[lints]\nworkspace = true"),
                "{} does not take the workspace lints",
                path.display()
            );
        }
    }
}
