//! `headwater-agent check`: whether `run` would work, and as which device.

use super::{DONE, USAGE, fail, print};
use crate::config::{Config, Scheme};
use crate::{log, run, uplink};

/// Prints the device's name; exit code 2 if something is wrong with names or files.
pub(super) fn check(config: Config) -> u8 {
    match device(&config) {
        Ok(device) => {
            print(&format!("ok device={device}"));
            DONE
        }
        Err(error) => fail(&error, USAGE),
    }
}

fn device(config: &Config) -> Result<String, String> {
    let names = run::names(config).map_err(|error| error.to_string())?;
    let device = names.device().map_err(|error| error.to_string())?;
    let dir = run::data_dir(config.data_dir.as_deref());
    let kept = log::device_of(&dir).map_err(|error| error.to_string())?;
    if let Some(error) = names.contradiction(kept.as_deref().unwrap_or(&device)) {
        return Err(error);
    }
    let device = kept.unwrap_or(device);
    let options =
        uplink::Options::new(config, &device, "00000000").map_err(|error| error.to_string())?;
    if options.urls.iter().any(|url| url.scheme == Scheme::Mqtts) {
        uplink::check_tls(&options.files).map_err(|error| error.to_string())?;
    }
    Ok(device)
}
