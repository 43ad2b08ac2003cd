//! What a client asks of a topic, for the fuzz targets.

use headwater_broker_core::StreamSpec;

use super::topic_config as config;

/// The stream that CreateTopics with these configs makes.
///
/// # Errors
/// What the client is told.
pub fn topic(configs: &[(&str, Option<&str>)]) -> Result<StreamSpec, String> {
    let mut spec = StreamSpec::new("t");
    for (key, value) in configs {
        config::set(&mut spec, key, *value)?;
    }
    spec.check().map_err(|error| error.to_string())?;
    Ok(spec)
}

/// Every key that counts, with its value.
pub fn topic_config(spec: &StreamSpec) -> Vec<(&'static str, String)> {
    let all = config::all(spec).into_iter();
    all.map(|config| (config.name, config.value)).collect()
}
