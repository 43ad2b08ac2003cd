//! Settings of both programs, and what is written in them.

use std::path::Path;

use headwater_agent::config::Url;
use headwater_agent::sources::template::{Fields, Template};
use headwater_broker::config::Flags;

use super::Check;

/// A settings file, with lines `NAME=VALUE` of the environment behind the first zero byte.
pub const SETTINGS: Check = Check {
    name: "settings",
    run,
    memory_fixed: 256 << 10,
    memory_per_byte: 1024,
};

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (text, env) = text.split_once('\0').unwrap_or((&text, ""));
    let pairs = env.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((format!("HEADWATER_{name}"), value.to_owned()))
    });
    let env: Vec<(String, String)> = pairs.collect();
    if let Err(error) = headwater_agent::config::Config::parse(text, "agent.toml", env.clone()) {
        assert!(!error.to_string().is_empty());
    }
    let (file, flags) = (Path::new("broker.toml"), Flags::default());
    if let Err(error) = headwater_broker::Config::parse(text, file, env, &flags) {
        assert!(!error.to_string().is_empty());
    }
    words(text);
}

fn words(text: &str) {
    for word in text.split(['"', '\n']).take(50) {
        let _ = Url::parse(word);
        let fields = Fields {
            device: "d",
            source: "s",
            name: "n",
            topic: "t",
        };
        if let Ok(template) = Template::parse(word) {
            assert!(!word.is_empty() && template.expand(fields).len() <= word.len());
        }
    }
}
