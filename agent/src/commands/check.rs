//! `headwater-agent check`: whether `run` would work, and as which device.

mod certificates;
mod listen;

use std::net::ToSocketAddrs as _;
use std::path::Path;

use serde_json::json;

use super::{DONE, USAGE, fail, print};
use crate::config::{Config, Scheme, Url};
use crate::{log, run, uplink};

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    /// The device, if its name can be told.
    device: Option<String>,
    /// The agent would not run, or would send nothing.
    errors: Vec<String>,
    /// It would, for now.
    warnings: Vec<String>,
}

/// Prints what was found; exit code 2 if something is wrong with names, files or addresses.
pub(super) fn check(config: &Config, json: bool) -> u8 {
    let found = look(config);
    let code = if found.errors.is_empty() { DONE } else { USAGE };
    if json {
        let Findings {
            device,
            errors,
            warnings,
        } = found;
        let object = json!({"device": device, "errors": errors, "warnings": warnings});
        print(&object.to_string());
        return code;
    }
    for warning in &found.warnings {
        print(&format!("warning {warning}"));
    }
    for error in &found.errors {
        fail(error, USAGE);
    }
    if let Some(device) = found.device.filter(|_| code == DONE) {
        print(&format!("ok device={device}"));
    }
    code
}

fn look(config: &Config) -> Findings {
    let mut found = Findings::default();
    let dir = run::data_dir(config.data_dir.as_deref());
    match device(config, &dir) {
        Ok(device) => found.device = Some(device),
        Err(error) => found.errors.push(error),
    }
    if let Err(error) = link(config, found.device.as_deref().unwrap_or_default()) {
        found.errors.push(error);
    }
    certificates::look(&config.uplink, &mut found);
    match log::holder(&dir) {
        Some(pid) => found.warnings.push(format!(
            "An agent (pid {pid}) runs on {}: the addresses that it listens on were not tried",
            dir.display()
        )),
        None => listen::look(config, &mut found),
    }
    let urls = config.uplink.urls().unwrap_or_default();
    found.warnings.extend(urls.iter().filter_map(unresolved));
    found
}

fn device(config: &Config, dir: &Path) -> Result<String, String> {
    let names = run::names(config).map_err(|error| error.to_string())?;
    let device = names.device().map_err(|error| error.to_string())?;
    let kept = log::device_of(dir).map_err(|error| error.to_string())?;
    match names.contradiction(kept.as_deref().unwrap_or(&device)) {
        Some(error) => Err(error),
        None => Ok(kept.unwrap_or(device)),
    }
}

/// Whether the files of the link can be read and fit one another.
fn link(config: &Config, device: &str) -> Result<(), String> {
    let options =
        uplink::Options::new(config, device, "00000000").map_err(|error| error.to_string())?;
    if options.urls.iter().any(|url| url.scheme == Scheme::Mqtts) {
        uplink::check_tls(&options.files).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A gateway may be without a network for now, so a name that is not found is no error.
fn unresolved(url: &Url) -> Option<String> {
    let addresses = (url.host.as_str(), url.port).to_socket_addrs();
    let reason = match addresses.map(|mut addresses| addresses.next()) {
        Ok(Some(_)) => return None,
        Ok(None) => "it has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("uplink.url {url} cannot be resolved now: {reason}"))
}

#[cfg(test)]
mod tests;
