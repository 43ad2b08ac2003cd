//! The registers that say whose log this is: `cluster`, a head for each journal, a manifest for
//! each shard (`cluster.md` 2.4 to 2.7).

use headwater_broker_core::catalog::SHARDS;
use headwater_store::format::cluster::Cluster;
use headwater_store::format::head::{Head, State};
use headwater_store::format::manifest::{self, Fields, Manifest, Source};
use headwater_store::traits::Registers;
use headwater_store::{ErrorKind, Incarnation, Outcome, StoreError, Version, WriteId, names};

use super::random;

/// A manifest of a shard that is ours.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) manifest: Manifest,
    name: String,
    /// None before it was first stored.
    version: Option<Version>,
}

/// The cluster's register, made by the first start.
pub(super) fn open_cluster(registers: &dyn Registers) -> Result<Cluster, StoreError> {
    loop {
        if let Some(found) = registers.read(names::CLUSTER)? {
            return Cluster::decode(&found.value)
                .map_err(|error| StoreError::format("Cannot read", names::CLUSTER, error));
        }
        let cluster = Cluster::new(WriteId(random()), random(), SHARDS);
        if registers.create(names::CLUSTER, &cluster.encode())? == Outcome::Mine {
            return Ok(cluster);
        }
    }
}

/// The head of a new journal.
pub(super) fn create_head(registers: &dyn Registers, inc: Incarnation) -> Result<(), StoreError> {
    let name = names::head(inc);
    let value = Head::new(WriteId(random())).encode();
    loop {
        match registers.create(&name, &value)? {
            Outcome::Mine => return Ok(()),
            Outcome::Unknown => {}
            Outcome::Theirs(_) => {
                return Err(StoreError::new(
                    ErrorKind::Exists,
                    "Cannot begin a journal",
                    name,
                ));
            }
        }
    }
}

/// Moves a head on, unless it is sealed or there is none: to frozen, or to sealed at `end`.
pub(super) fn move_head(
    registers: &dyn Registers,
    inc: Incarnation,
    end: Option<u64>,
) -> Result<(), StoreError> {
    let name = names::head(inc);
    loop {
        let Some(found) = registers.read(&name)? else {
            return Ok(());
        };
        let mut head = Head::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        let wanted = if end.is_some() {
            State::Sealed
        } else {
            State::Frozen
        };
        if head.state == State::Sealed || head.state == wanted {
            return Ok(());
        }
        (head.state, head.end) = (wanted, end);
        (head.rev, head.write_id) = (head.rev + 1, WriteId(random()));
        match registers.cas(&name, &found.version, &head.encode())? {
            Outcome::Mine => return Ok(()),
            // Look again what it says.
            Outcome::Theirs(_) | Outcome::Unknown => {}
        }
    }
}

/// Journals whose head says that nobody has ended them.
pub(super) fn unsealed_journals(registers: &dyn Registers) -> Result<Vec<Incarnation>, StoreError> {
    let mut unsealed = Vec::new();
    for name in registers.list("j/")? {
        let Some(inc) = names::parse_head(&name) else {
            continue;
        };
        let Some(found) = registers.read(&name)? else {
            continue;
        };
        let head = Head::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        if head.state != State::Sealed {
            unsealed.push(inc);
        }
    }
    Ok(unsealed)
}

impl Claim {
    /// Reads a shard's manifest; one that was never stored belongs to nobody.
    pub(super) fn read(registers: &dyn Registers, shard: u32) -> Result<Self, StoreError> {
        let name = names::manifest(shard);
        let Some(found) = registers.read(&name)? else {
            let manifest = Fields {
                shard,
                ..Fields::default()
            }
            .into();
            return Ok(Self {
                manifest,
                name,
                version: None,
            });
        };
        let manifest = manifest::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        Ok(Self {
            manifest,
            name,
            version: Some(found.version),
        })
    }

    /// Makes the shard ours: its epoch rises, the source that was open ends where its journal
    /// does, and ours follows. `end_of` gives the end of a sealed journal.
    pub(super) fn take(
        &mut self,
        registers: &dyn Registers,
        inc: Incarnation,
        end_of: impl Fn(Incarnation) -> Option<u64>,
    ) -> Result<(), StoreError> {
        self.change(registers, |fields| {
            fields.epoch += 1;
            fields.owner = inc.0.to_vec();
            fields.wanted = Vec::new();
            for source in &mut fields.sources {
                if source.to.is_none() {
                    source.to = end_of(source.inc()).map(|end| end.max(source.from));
                }
            }
            // Restarts without data would make the list grow for ever.
            let snapshots: Vec<_> = fields.snapshots.iter().map(|kept| kept.inc()).collect();
            fields.sources.retain(|source| {
                source.to != Some(source.from) || snapshots.contains(&source.inc())
            });
            fields.sources.push(
                Source {
                    inc: inc.0.to_vec(),
                    from: 0,
                    to: None,
                }
                .into(),
            );
        })
    }

    /// Changes the manifest, if it is still as it was last seen here.
    pub(super) fn change(
        &mut self,
        registers: &dyn Registers,
        change: impl FnOnce(&mut Fields),
    ) -> Result<(), StoreError> {
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        manifest.rev += 1;
        manifest.write_id = random::<16>().to_vec();
        manifest.writer = concat!("headwater-broker ", env!("CARGO_PKG_VERSION")).to_owned();
        let value = manifest::encode(&manifest)
            .map_err(|error| StoreError::format("Cannot encode", &self.name, error))?;
        loop {
            let outcome = match &self.version {
                Some(version) => registers.cas(&self.name, version, &value)?,
                None => registers.create(&self.name, &value)?,
            };
            match outcome {
                Outcome::Mine => break,
                Outcome::Unknown => {}
                Outcome::Theirs(_) => {
                    let what = "Somebody else has changed";
                    return Err(StoreError::new(ErrorKind::Exists, what, &self.name));
                }
            }
        }
        *self = Self::read(registers, manifest.shard)?;
        Ok(())
    }
}
