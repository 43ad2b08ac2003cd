//! Registers, and the snapshots that manifests name.

use headwater_store::format::cluster::Cluster;
use headwater_store::format::head::Head;
use headwater_store::format::manifest::{self, Manifest, Page};
use headwater_store::format::member::Member;
use headwater_store::format::producer_ids::ProducerIds;
use headwater_store::format::{FormatError, snapshot};
use headwater_store::{Store, names, pages};

use super::report::{Damage, Report};

/// Reads every register and every snapshot. Gives the manifests that can be read.
pub(super) fn check(store: &Store, report: &mut Report) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    let names = store.registers.list("").unwrap_or_else(|error| {
        report.damaged(Damage::object(super::REGISTERS, error));
        Vec::new()
    });
    for name in names {
        report.registers += 1;
        match read(store, &name) {
            Ok(manifest) => manifests.extend(manifest),
            Err(what) => report.damaged(Damage::object(name, what)),
        }
    }
    for manifest in &mut manifests {
        unfold(store, manifest, report);
    }
    for reference in manifests.iter().flat_map(|manifest| &manifest.snapshots) {
        report.snapshots += 1;
        if let Err(what) = read_snapshot(store, &reference.name) {
            report.damaged(Damage::object(reference.name.as_str(), what));
        }
    }
    manifests
}

/// Puts what the pages list before the manifest's own segments.
fn unfold(store: &Store, manifest: &mut Manifest, report: &mut Report) {
    let mut segments = Vec::new();
    for page in &manifest.pages {
        let mut listed = None;
        for copy in [&page.name, &page.copy]
            .into_iter()
            .filter(|name| !name.is_empty())
        {
            // Each copy, so that what is wrong with one shows though the other is whole.
            let alone = Page {
                name: copy.clone(),
                copy: String::new(),
                ..page.known.clone()
            };
            match pages::read(&*store.blobs, manifest.shard, &alone, |_, _| {}) {
                Ok(found) => listed = Some(found),
                Err(error) => report.damaged(Damage::object(copy.as_str(), error)),
            }
        }
        segments.extend(listed.unwrap_or_default());
    }
    segments.append(&mut manifest.segments);
    manifest.segments = segments;
}

/// Reads a register as what its name says; gives it if it is a manifest.
fn read(store: &Store, name: &str) -> Result<Option<Manifest>, String> {
    let found = store
        .registers
        .read(name)
        .map_err(|error| error.to_string())?;
    let Some(found) = found else {
        return Ok(None);
    };
    let bytes = &found.value;
    let decoded = match name {
        names::CLUSTER => Cluster::decode(bytes).map(|_| None),
        _ if name.ends_with("/manifest") => manifest::decode(bytes).map(Some),
        _ if names::parse_head(name).is_some() => Head::decode(bytes).map(|_| None),
        _ if name.starts_with("m/") => Member::decode(bytes).map(|_| None),
        "producer-ids" => ProducerIds::decode(bytes).map(|_| None),
        _ => Ok(None),
    };
    decoded.map_err(|error: FormatError| error.to_string())
}

fn read_snapshot(store: &Store, name: &str) -> Result<(), String> {
    let bytes = store.blobs.get(name, 0..u64::MAX);
    let bytes = bytes.map_err(|error| error.to_string())?;
    let read = snapshot::decode(&bytes);
    read.map(|_| ()).map_err(|error| error.to_string())
}
