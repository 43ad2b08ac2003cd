//! The file `identity`: which log this is and whose. Written once, when the log is created.

use std::io;
use std::path::{Path, PathBuf};

use headwater_wire::crc::crc32c;

use super::disk::{Disk, FileDisk};
use super::error::OpenError;

pub(super) const IDENTITY_FILE: &str = "identity";
const MAGIC: &[u8; 4] = b"HWA1";
const FORMAT: u16 = 1;
const KIND: u8 = 1;
const ID: usize = 8;
const DEVICE_BYTES: usize = ID + 16;
pub(super) const DEVICE: usize = DEVICE_BYTES + 2;

/// A log's name for itself, random: frames and segments of another log are not its own.
pub(super) type LogId = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: LogId,
    pub(super) device: String,
}

/// The device name that the log in `dir` was made with; `None` if there is no log. Takes no lock.
pub fn device_of(dir: &Path) -> Result<Option<String>, OpenError> {
    Ok(Identity::read(&FileDisk, dir)?.map(|identity| identity.device))
}

impl Identity {
    pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, OpenError> {
        let file = dir.join(IDENTITY_FILE);
        let content = disk.read(&file).map_err(|source| OpenError::Io {
            file: file.clone(),
            source,
        })?;
        content
            .map(|content| Self::decode(&content, &file))
            .transpose()
    }

    pub(super) fn create(disk: &dyn Disk, dir: &Path, device: &str) -> io::Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let identity = Self {
            id,
            device: device.to_owned(),
        };
        identity.write(disk, dir)?;
        Ok(identity)
    }

    pub(super) fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk.replace(&dir.join(IDENTITY_FILE), &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(DEVICE + self.device.len() + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[KIND, 0]);
        out.extend_from_slice(&self.id);
        let device_bytes = u16::try_from(self.device.len()).unwrap_or(0);
        out.extend_from_slice(&device_bytes.to_le_bytes());
        out.extend_from_slice(&self.device.as_bytes()[..usize::from(device_bytes)]);
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out
    }

    fn decode(content: &[u8], file: &Path) -> Result<Self, OpenError> {
        let damaged = |what: &str| OpenError::Damaged {
            file: file.to_owned(),
            what: what.into(),
        };
        let Some((body, crc)) = content.split_last_chunk::<4>() else {
            return Err(damaged("it is cut off"));
        };
        if !body.starts_with(MAGIC) {
            return Err(damaged("it does not begin with HWA1"));
        }
        let format = body
            .get(4..6)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u16::from_le_bytes);
        match format {
            Some(FORMAT) => {}
            Some(format) => return Err(newer(file.to_owned(), format, FORMAT)),
            None => return Err(damaged("it is cut off")),
        }
        if crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum is wrong"));
        }
        let id = body
            .get(ID..DEVICE_BYTES)
            .and_then(|bytes| bytes.try_into().ok());
        let device = body
            .get(DEVICE..)
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        match (id, device) {
            (Some(id), Some(device)) => Ok(Self { id, device }),
            _ => Err(damaged("its fields do not fit")),
        }
    }
}

pub(super) fn newer(file: PathBuf, format: u16, newest: u16) -> OpenError {
    OpenError::Format {
        file,
        format,
        newest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_damage_is_seen() {
        let identity = Identity {
            id: [7; 16],
            device: "gw-1".into(),
        };
        let bytes = identity.encode();
        let file = Path::new("identity");
        assert_eq!(Identity::decode(&bytes, file).unwrap(), identity);
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x10;
            assert!(Identity::decode(&damaged, file).is_err(), "byte {index}");
            assert!(
                Identity::decode(&bytes[..index], file).is_err(),
                "cut at {index}"
            );
        }
    }
}
