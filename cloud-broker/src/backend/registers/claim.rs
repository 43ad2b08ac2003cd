//! The manifest of a shard that is ours: the one value that says which segments, which ranges of
//! journals and which snapshot are its log.

use std::collections::BTreeSet;

use headwater_store::format::manifest::{self, Fields, Manifest, Source};
use headwater_store::traits::Registers;
use headwater_store::{ErrorKind, Incarnation, Outcome, Store, StoreError, Version, names};

use super::pages::{Names, Pages};
use crate::backend::random;

/// A manifest as it was last seen, or written, here.
#[derive(Debug)]
pub(in crate::backend) struct Claim {
    /// With all segments, those that its pages list too.
    pub(in crate::backend) manifest: Manifest,
    /// Pages that were written or given up, and that it does not name.
    pub(in crate::backend) unneeded: Vec<String>,
    pages: Pages,
    page_names: Names,
    name: String,
    /// None before it was first stored, and when it has to be read again.
    version: Option<Version>,
    /// It has to be read before it can be changed again.
    stale: bool,
    /// A write of which nobody knows whether it has landed.
    unsure: Option<(Manifest, Pages)>,
}

impl Claim {
    /// Reads a shard's manifest; one that was never stored belongs to nobody.
    pub(in crate::backend) fn read(store: &Store, shard: u32) -> Result<Self, StoreError> {
        let name = names::manifest(shard);
        let (mut manifest, version) = match read(&*store.registers, &name)? {
            Some((manifest, version)) => (manifest, Some(version)),
            None => {
                let fields = Fields {
                    shard,
                    ..Fields::default()
                };
                (fields.into(), None)
            }
        };
        let pages = Pages::unfold(&*store.blobs, &mut manifest)?;
        Ok(Self {
            manifest,
            unneeded: Vec::new(),
            pages,
            page_names: Names::default(),
            name,
            version,
            stale: false,
            unsure: None,
        })
    }

    /// Makes the shard ours: its epoch rises, the source that was open ends where its journal
    /// does, and ours follows. `end_of` gives the end of a sealed journal; sources in which
    /// nothing is `needed` are given up.
    pub(in crate::backend) fn take(
        &mut self,
        store: &Store,
        inc: Incarnation,
        end_of: impl Fn(Incarnation) -> Option<u64>,
        needed: impl Fn(&Source) -> bool,
    ) -> Result<(), StoreError> {
        // Pages of an epoch that may not begin could not be told from others.
        self.change(store, usize::MAX / 4, |fields| {
            fields.epoch += 1;
            fields.owner = inc.0.to_vec();
            fields.wanted = Vec::new();
            for source in &mut fields.sources {
                if source.to.is_none() {
                    source.to = end_of(source.inc()).map(|end| end.max(source.from));
                }
            }
            let ours = Source {
                inc: inc.0.to_vec(),
                from: 0,
                to: None,
            };
            fields.sources.push(ours.into());
            keep_needed(fields, |source| source.to.is_none() || needed(source));
        })
    }

    /// Changes the manifest, if it is still as it was last seen here. `page_bytes`: about what a
    /// page of segments has.
    ///
    /// After an error the change was not made, unless [`Claim::is_unsure`]: then
    /// [`Claim::settle`] will tell.
    pub(in crate::backend) fn change(
        &mut self,
        store: &Store,
        page_bytes: usize,
        change: impl FnOnce(&mut Fields),
    ) -> Result<(), StoreError> {
        self.settle(&*store.registers)?;
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        manifest.rev += 1;
        let write_id: [u8; 16] = random();
        manifest.write_id = write_id.to_vec();
        manifest.writer = concat!("headwater-broker ", env!("CARGO_PKG_VERSION")).to_owned();
        let (pages, value) = match self.encode(store, page_bytes, &mut manifest) {
            Ok(encoded) => encoded,
            Err(error) => {
                self.unneeded.append(&mut self.page_names.given);
                return Err(error);
            }
        };
        self.page_names.given.clear();
        let put = self.put(&*store.registers, &value);
        self.stale = true;
        match put {
            Ok(()) => {
                self.adopt(manifest, pages);
                Ok(())
            }
            Err(error) => {
                self.unsure = Some((manifest, pages));
                // Mostly it shows at once.
                let settled = self.settle(&*store.registers);
                match settled.is_ok() && self.manifest.write_id == write_id {
                    true => Ok(()),
                    false => Err(error),
                }
            }
        }
    }

    /// Whether the last change may have been made or not.
    pub(in crate::backend) fn is_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// Reads the manifest again if that is due. Afterwards it is known what became of every
    /// change.
    pub(in crate::backend) fn settle(
        &mut self,
        registers: &dyn Registers,
    ) -> Result<(), StoreError> {
        if !self.stale {
            return Ok(());
        }
        let found = read(registers, &self.name)?;
        let found = found.map(|(manifest, version)| (manifest.write_id(), Some(version)));
        let (write_id, version) = found.unwrap_or_default();
        match self.unsure.take() {
            Some((manifest, pages)) if manifest.write_id() == write_id => {
                self.adopt(manifest, pages);
            }
            unsure if write_id == self.manifest.write_id() => {
                if let Some((_, pages)) = unsure {
                    self.give_up(&pages);
                }
            }
            unsure => {
                self.unsure = unsure;
                return Err(self.taken());
            }
        }
        (self.version, self.stale) = (version, false);
        Ok(())
    }

    /// The manifest is this one now.
    fn adopt(&mut self, manifest: Manifest, pages: Pages) {
        let before = std::mem::replace(&mut self.pages, pages);
        self.manifest = manifest;
        self.give_up(&before);
    }

    /// Nobody needs these pages, but for those that the manifest names.
    fn give_up(&mut self, pages: &Pages) {
        let named: BTreeSet<String> = self.pages.names().collect();
        let unneeded = pages.names().filter(|name| !named.contains(name));
        self.unneeded.extend(unneeded);
    }

    /// The register's value, after the pages that it names are there.
    fn encode(
        &mut self,
        store: &Store,
        page_bytes: usize,
        manifest: &mut Manifest,
    ) -> Result<(Pages, Vec<u8>), StoreError> {
        let names = &mut self.page_names;
        let pages = self
            .pages
            .fold(&*store.blobs, manifest, page_bytes, names)?;
        let own = manifest.segments.split_off(pages.segments());
        let mut paged = std::mem::replace(&mut manifest.segments, own);
        let value = manifest::encode(manifest)
            .map_err(|error| StoreError::format("Cannot encode", &self.name, error))?;
        paged.append(&mut manifest.segments);
        manifest.segments = paged;
        Ok((pages, value))
    }

    fn put(&self, registers: &dyn Registers, value: &[u8]) -> Result<(), StoreError> {
        loop {
            let outcome = match &self.version {
                Some(version) => registers.cas(&self.name, version, value)?,
                None => registers.create(&self.name, value)?,
            };
            match outcome {
                Outcome::Mine => return Ok(()),
                Outcome::Unknown => {}
                Outcome::Theirs(_) => return Err(self.taken()),
            }
        }
    }

    fn taken(&self) -> StoreError {
        StoreError::new(ErrorKind::Exists, "Somebody else has changed", &self.name)
    }
}

/// A manifest as it is stored, and its version.
fn read(registers: &dyn Registers, name: &str) -> Result<Option<(Manifest, Version)>, StoreError> {
    let Some(found) = registers.read(name)? else {
        return Ok(None);
    };
    let manifest = manifest::decode(&found.value)
        .map_err(|error| StoreError::format("Cannot read", name, error))?;
    Ok(Some((manifest, found.version)))
}

/// Gives sources up that are not needed. A snapshot that reaches into one of them reaches to the
/// next one's beginning, which says the same.
fn keep_needed(fields: &mut Fields, needed: impl Fn(&Source) -> bool) {
    let sources = std::mem::take(&mut fields.sources);
    for snapshot in &mut fields.snapshots {
        let inc = snapshot.inc();
        let Some(at) = sources.iter().position(|source| source.inc() == inc) else {
            continue;
        };
        if needed(&sources[at]) {
            continue;
        }
        if let Some(next) = sources[at..].iter().find(|source| needed(source)) {
            (snapshot.inc, snapshot.next_seq) = (next.inc.clone(), next.from);
        }
    }
    fields.sources = sources;
    fields.sources.retain(|source| needed(source));
}

#[cfg(test)]
mod tests {
    use headwater_store::format::manifest::SnapshotRef;

    use super::*;

    fn sources(ranges: &[(u8, u64, Option<u64>)]) -> Fields {
        let source = |(inc, from, to): &(u8, u64, Option<u64>)| {
            let inc = vec![*inc; 16];
            (Source {
                inc,
                from: *from,
                to: *to,
            })
            .into()
        };
        Fields {
            sources: ranges.iter().map(source).collect(),
            ..Fields::default()
        }
    }

    #[test]
    fn a_snapshot_still_says_how_far_it_reaches() {
        let all = [(1, 5, Some(9)), (2, 0, Some(3)), (3, 0, None)];
        let reach = |inc: u8, next_seq, given_up: &[u8]| {
            let mut fields = sources(&all);
            let snapshot = SnapshotRef {
                inc: vec![inc; 16],
                next_seq,
                ..SnapshotRef::default()
            };
            fields.snapshots.push(snapshot.into());
            keep_needed(&mut fields, |source| !given_up.contains(&source.inc[0]));
            let snapshot = &fields.snapshots[0];
            (snapshot.inc[0], snapshot.next_seq)
        };
        assert_eq!(reach(2, 2, &[1]), (2, 2));
        assert_eq!(reach(2, 2, &[2]), (3, 0));
        assert_eq!(reach(1, 7, &[1, 2]), (3, 0));
        assert_eq!(reach(1, 7, &[1]), (2, 0));
        assert_eq!(reach(9, 7, &[1]), (9, 7), "of before them all");
    }
}
