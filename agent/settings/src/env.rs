//! `HEADWATER_SECTION__KEY=value` in place of a scalar of the file.

use crate::error::SettingsError;
use crate::tree::{Entry, Kind, Node};

/// What the names of our variables begin with.
pub(crate) const PREFIX: &str = "HEADWATER_";

/// Puts each variable's value where its name says, in order of their names.
pub(crate) fn apply(
    root: &mut Node,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<(), SettingsError> {
    let mut ours: Vec<(String, String)> = env
        .into_iter()
        .filter(|(name, _)| name.len() > PREFIX.len() && name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (name, value) in ours {
        let path = name[PREFIX.len()..].to_lowercase();
        set(root, &path, &name, value)?;
    }
    Ok(())
}

fn set(root: &mut Node, path: &str, name: &str, value: String) -> Result<(), SettingsError> {
    let steps: Vec<&str> = path.split("__").collect();
    let mut node = root;
    for step in &steps[..steps.len() - 1] {
        node = table_below(node, step, name)?;
    }
    let last = steps[steps.len() - 1];
    let slot = entry(node, last, name)?;
    if matches!(slot.value.kind, Kind::List(_) | Kind::Table(_)) {
        return Err(not_a_scalar(name, last));
    }
    slot.place = name.to_owned();
    slot.value = leaf(name, Kind::Untyped(value));
    Ok(())
}

/// The table `key` below `node`, made if the file has none.
fn table_below<'a>(
    node: &'a mut Node,
    key: &str,
    name: &str,
) -> Result<&'a mut Node, SettingsError> {
    let slot = entry(node, key, name)?;
    if matches!(&slot.value.kind, Kind::Untyped(value) if value.is_empty()) {
        slot.value = leaf(name, Kind::Table(Vec::new()));
    }
    if matches!(slot.value.kind, Kind::Table(_)) {
        return Ok(&mut slot.value);
    }
    Err(not_a_scalar(name, key))
}

/// The entry `key` of the table `node`; a new one is empty.
fn entry<'a>(node: &'a mut Node, key: &str, name: &str) -> Result<&'a mut Entry, SettingsError> {
    let Kind::Table(entries) = &mut node.kind else {
        return Err(not_a_scalar(name, key));
    };
    let at = match entries.iter().position(|entry| entry.key == key) {
        Some(at) => at,
        None => {
            entries.push(Entry {
                key: key.to_owned(),
                place: name.to_owned(),
                value: leaf(name, Kind::Untyped(String::new())),
            });
            entries.len() - 1
        }
    };
    Ok(&mut entries[at])
}

fn leaf(name: &str, kind: Kind) -> Node {
    Node {
        place: name.to_owned(),
        kind,
    }
}

fn not_a_scalar(name: &str, key: &str) -> SettingsError {
    SettingsError::new(
        Some(name),
        format!("\"{key}\" is not a scalar, lists and tables come from the file"),
    )
}
