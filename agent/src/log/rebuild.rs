//! Makes the file `identity` again from what else is there.
//!
//! Every frame of the journal carries the log's id, and every batch in it a producer id that was
//! made from the device's name: a name is right if it gives the same. So the log goes on as the one
//! that it was, with its generations and positions, and nothing is sent twice.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::batch::Header;
use headwater_wire::uplink::producer_id;

use super::device::{DEVICE, IDENTITY_FILE, Identity, LogId};
use super::disk::{Disk, FileDisk};
use super::error::OpenError;
use super::space::Meter;
use super::tail::{Journal, Section, is_journal_file, newest_log_id};

/// An identity that was found, and not written yet.
#[derive(Debug)]
pub struct LostIdentity(Identity);

impl LostIdentity {
    /// Looks for the identity of the log in `dir`, whose own file is damaged or gone. Of the names
    /// of the device, what is left of that file has one, and `names` are others that may be right.
    ///
    /// # Errors
    /// What cannot be read, or told.
    pub fn find(dir: &Path, names: &[String]) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io {
            file: dir.to_owned(),
            source,
        };
        let untold = |what: &str| OpenError::Damaged {
            file: dir.join(IDENTITY_FILE),
            what: what.to_owned(),
        };
        let id = log_id(dir).map_err(failed)?;
        let id = id.ok_or_else(|| untold("no frame of the journal says which log this is"))?;
        let disk: Arc<dyn Disk> = Arc::new(FileDisk);
        let (_, found) = Journal::open(&disk, dir.to_owned(), id, Meter::default())?;
        let batches = batches(found.frames);
        let own = std::fs::read(dir.join(IDENTITY_FILE)).unwrap_or_default();
        let candidates = name_in(&own).into_iter().chain(names.iter().cloned());
        let is_right = |device: &String| {
            let gives = |(lane, generation, id): &(LaneName, u32, i64)| {
                producer_id(device, &lane.stream, &lane.lane, *generation) == *id
            };
            batches.iter().any(gives)
        };
        let device = candidates.into_iter().find(is_right);
        let device = device.ok_or_else(|| {
            untold(
                "its batches are of another device than any that is named; name it with --device",
            )
        })?;
        Ok(Self(Identity { id, device }))
    }

    /// The device.
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        self.0.write(&FileDisk, dir)
    }
}

/// Whether a log lies in `dir` whose identity cannot be read.
pub fn has_lost_identity(dir: &Path) -> bool {
    match Identity::read(&FileDisk, dir) {
        Ok(identity) => {
            let names = FileDisk.list(dir).unwrap_or_default();
            identity.is_none() && names.iter().any(|name| is_journal_file(name))
        }
        Err(error) => matches!(error, OpenError::Damaged { .. }),
    }
}

/// The log's id as the newest frame says.
fn log_id(dir: &Path) -> io::Result<Option<LogId>> {
    let mut newest = None;
    for name in FileDisk.list(dir)? {
        if is_journal_file(&name) {
            newest = newest.max(newest_log_id(&std::fs::read(dir.join(name))?));
        }
    }
    Ok(newest.map(|(_, id)| id))
}

/// Lane, generation and producer id of each batch.
fn batches(frames: Vec<Bytes>) -> Vec<(LaneName, u32, i64)> {
    let mut generations = std::collections::BTreeMap::new();
    let mut batches = Vec::new();
    for mut body in frames {
        while let Some(section) = Section::decode(&mut body) {
            let (name, batch) = match section {
                Section::State(name, record) => {
                    generations.insert(name, record.generation);
                    continue;
                }
                Section::Events(name, batch)
                | Section::Sealed(name, batch)
                | Section::Loss(name, batch) => (name, batch),
                Section::Cursor(..) => continue,
            };
            if let Ok(header) = Header::parse(&batch) {
                let generation = generations.get(&name).copied().unwrap_or(0);
                batches.push((name, generation, header.producer_id));
            }
        }
    }
    batches
}

/// The name that a damaged file still has, if it looks like one.
fn name_in(file: &[u8]) -> Option<String> {
    let device = file.get(DEVICE..file.len().checked_sub(4)?)?;
    let device = std::str::from_utf8(device).ok()?;
    crate::device::is_device_name(device).then(|| device.to_owned())
}
