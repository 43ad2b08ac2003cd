//! Whether the addresses can be listened on: each is, for a moment.

use std::net::TcpListener;

use super::Findings;
use crate::config::{Config, SourceSettings};
use crate::sources::lines::Origin;
use crate::sources::mqtt_listen;

/// Tries the addresses of all sources and of `http`, all at a time: two may be the same.
pub(super) fn look(config: &Config, found: &mut Findings) {
    let sources = config.source.iter().filter_map(|source| {
        let address = address(source)?;
        Some((format!("Source {}", source.name()), address))
    });
    let http = ("http".to_owned(), config.http.clone());
    let mut open = Vec::new();
    for (who, address) in sources.chain([http]) {
        match TcpListener::bind(&address) {
            Ok(listener) => open.push(listener),
            Err(reason) => {
                let text = format!("{who} cannot listen on {address}: {reason}");
                found.errors.push(text);
            }
        }
    }
}

fn address(source: &SourceSettings) -> Option<String> {
    match source.kind.as_str() {
        "mqtt" => Some(mqtt_listen(source).to_owned()),
        "lines" => match Origin::parse(source.from.as_deref()?) {
            Ok(Origin::Tcp(address)) => Some(address),
            _ => None,
        },
        _ => None,
    }
}
