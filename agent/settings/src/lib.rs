//! Settings files of agent and broker: TOML and environment to typed values, errors with file and line.
//!
//! ```
//! #[derive(serde::Deserialize)]
//! struct Config { uplink: Uplink }
//! #[derive(serde::Deserialize)]
//! struct Uplink { window: u16 }
//!
//! let error = headwater_settings::load::<Config>("[uplink]\nwindw = 8\n", "agent.toml", []).err();
//! assert_eq!(
//!     error.map(|e| e.to_string()).as_deref(),
//!     Some(r#"agent.toml:2: unknown key "uplink.windw", did you mean "window"?"#),
//! );
//! ```
//!
//! Every struct refuses keys that it does not have; `#[serde(deny_unknown_fields)]` is not needed,
//! except within `#[serde(tag = "…")]` enums and `#[serde(flatten)]`, which serde buffers itself.

mod de;
mod env;
mod error;
mod tree;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use error::SettingsError;
pub use units::{Bytes, Percent, Quota, Retention, Span};

/// What the settings say, and where each of their keys stands.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The typed settings.
    pub settings: T,
    /// Where each key was set, for errors that only a look at the values can find.
    pub places: Places,
}

/// Where each key was set; keys that were left at their default are not in it.
#[derive(Debug, Default, Clone)]
pub struct Places(BTreeMap<String, String>);

/// Reads `text` (TOML), lets the variables `HEADWATER_SECTION__KEY` of `env` replace scalars, and
/// gives typed settings.
///
/// `file_name` is only named in errors. `env` may be the whole environment
/// ([`environment`]): other names are passed over. A variable without `__` that names no key of
/// the top level is passed over too, since container systems invent such names.
///
/// # Errors
/// `FILE:LINE: …` (or `VARIABLE: …`) for bad syntax, an unknown or missing key, a wrong type and a
/// value out of range. The caller ends with exit code 2.
pub fn load<T: DeserializeOwned>(
    text: &str,
    file_name: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded<T>, SettingsError> {
    let mut root = tree::parse(text, file_name)?;
    env::apply(&mut root, env)?;
    let settings = T::deserialize(&root).map_err(|error| error.finish(&root))?;
    let mut places = Places::default();
    root.for_each_key(&mut |key, place| {
        places.0.insert(key.to_owned(), place.to_owned());
    });
    Ok(Loaded { settings, places })
}

/// The variables of this process that [`load`] can use; names or values that are not UTF-8 are
/// left out.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(env::PREFIX))
        .collect()
}

/// A path that a settings file names: relative to the folder in which that file lies, so that a
/// folder with a settings file and its certificates works from wherever the program is started.
pub fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or_else(|| Path::new("")).join(path)
}

impl Places {
    /// Where `key` (`uplink.window`, `stream[1].name`) was set: `FILE:LINE`, a variable's name, or
    /// nothing if it has its default.
    pub fn at(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// An error about the value of `key`: `FILE:LINE: KEY MESSAGE`, without the place if the key
    /// was set in no file (by a flag, or by default).
    pub fn error(&self, key: &str, message: &str) -> SettingsError {
        SettingsError::new(self.at(key), format!("{key} {message}"))
    }

    /// `KEY is not supported yet`, unless the value is the default one.
    ///
    /// # Errors
    /// If `value` differs from `default`.
    pub fn only_default<V: PartialEq>(
        &self,
        key: &str,
        value: &V,
        default: &V,
    ) -> Result<(), SettingsError> {
        if value == default {
            return Ok(());
        }
        Err(self.error(key, "is not supported yet"))
    }
}

#[cfg(test)]
mod tests;
