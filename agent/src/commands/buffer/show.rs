//! What was found, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::Output;
use crate::log::{InspectedLane, Inspection};

/// `{"device","lanes":[{"stream","lane","generation","oldest","next","events","batches","bytes","lost"}],"damage":[…]}`.
pub(super) fn inspection(found: &Inspection, output: Output) -> String {
    match output {
        Output::Json => object(found).to_string(),
        Output::Text => text(found),
    }
}

/// The same, with `"kept"`: where the copies are.
pub(super) fn repair(
    repaired: &Inspection,
    after: &Inspection,
    kept: &Path,
    output: Output,
) -> String {
    let kept = kept.display().to_string();
    if output == Output::Json {
        let mut object = object(after);
        object["repaired"] = json!(repaired.damage);
        object["kept"] = json!(kept);
        return object.to_string();
    }
    format!(
        "{}\nkept    copies of the damaged files are in {kept}",
        text(after)
    )
}

fn object(found: &Inspection) -> Value {
    let lanes: Vec<Value> = found.lanes.iter().map(lane).collect();
    json!({"device": found.device, "lanes": lanes, "damage": found.damage})
}

fn lane(lane: &InspectedLane) -> Value {
    json!({
        "stream": &*lane.name.stream,
        "lane": &*lane.name.lane,
        "generation": lane.generation,
        "oldest": lane.oldest.0,
        "next": lane.next.0,
        "events": lane.events,
        "batches": lane.batches,
        "bytes": lane.bytes,
        "lost": lane.lost,
    })
}

fn text(found: &Inspection) -> String {
    let mut lines = vec![format!("device  {}", found.device)];
    for lane in &found.lanes {
        lines.push(format!(
            "lane    {}  positions {} to {}  {} events, {} batches of {} bytes, {} declared lost",
            lane.name, lane.oldest, lane.next, lane.events, lane.batches, lane.bytes, lane.lost
        ));
    }
    let damage = found
        .damage
        .iter()
        .map(|damage| format!("damage  {damage}"));
    lines.extend(damage);
    if found.damage.is_empty() {
        lines.push("ok      everything can be read".to_owned());
    }
    lines.join("\n")
}
