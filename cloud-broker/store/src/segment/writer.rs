//! Writes a segment in one pass.

mod block;
mod run;

use headwater_broker_core::Entry;
use headwater_wire::batch::{self, Header as BatchHeader};
use headwater_wire::crc;

use self::block::BlockBuilder;
pub(super) use self::run::RunBuilder;
use crate::error::{ErrorKind, StoreError};
use crate::format::chunk::FRAME_BYTES_MAX;
use crate::format::segment::{Block, Directory, Footer, Header, INDEX_BYTES_MAX, Run, RunId};
use crate::format::segment::{FormatError, SEGMENT_BYTES_MAX, encode_block};
use crate::traits::{BlobWriter, Blobs};

/// A segment that is being written. Memory: one block of batches (at most 256 KiB, or one batch)
/// and the indexes (about 50 bytes a block, and its topic filters). Dropped, it leaves nothing.
#[derive(Debug)]
pub struct SegmentWriter {
    out: Box<dyn BlobWriter>,
    name: String,
    header: Header,
    position: u64,
    block: BlockBuilder,
    run: Option<RunBuilder>,
    /// Last block of `run`.
    last: Option<Block>,
    blocks: u32,
    indexes: Vec<u8>,
    runs: Vec<Run>,
}

/// A segment that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length of the object.
    pub bytes: u64,
    /// What it holds: offsets, times and epochs of each partition.
    pub directory: Directory,
}

impl SegmentWriter {
    /// Begins the object `name` (`names::segment`) for partitions of one shard.
    ///
    /// # Errors
    /// `Exists` if the name is taken, or what the store says.
    pub fn create(
        blobs: &dyn Blobs,
        name: &str,
        shard: u32,
        epoch: u32,
    ) -> Result<Self, StoreError> {
        let header = Header { shard, epoch };
        let mut writer = Self {
            out: blobs.create(name)?,
            name: name.to_owned(),
            header,
            position: 0,
            block: BlockBuilder::default(),
            run: None,
            last: None,
            blocks: 0,
            indexes: Vec::new(),
            runs: Vec::new(),
        };
        writer.write(&header.encode())?;
        Ok(writer)
    }

    /// Adds a batch: `entry` tells stream, partition, offsets, epoch, arrival and topics of
    /// `batch`, its place in a chunk does not matter. Batches come in order of stream, partition
    /// and offset; offsets and epochs rise within a partition, and may have gaps.
    ///
    /// # Errors
    /// `Damaged` if the batch is not whole or not what the entry says (its checksum is compared
    /// too): nothing was added, and the next one may come. `Invalid` if it is out of order, or the
    /// segment would be larger than 4 GiB. Otherwise what the store says; then all is over.
    pub fn push(&mut self, entry: &Entry, batch: &[u8]) -> Result<(), StoreError> {
        let header = self.verify(entry, batch)?;
        let id = RunId {
            topic: entry.topic,
            partition: entry.partition,
        };
        if self.run.as_ref().is_none_or(|run| run.id() != id) {
            self.end_run()?;
            if self.runs.last().is_some_and(|last| last.id >= id) {
                return Err(self.refuse("Cannot put a partition out of order into"));
            }
            self.run = Some(RunBuilder::new(id, self.indexes.len()));
        }
        if self.block.is_full_for(batch.len()) {
            self.end_block()?;
        }
        let run = self.run.as_mut().expect("made above");
        if !run.add(entry, &header) {
            return Err(self.refuse("Cannot put a batch out of order into"));
        }
        self.block.push(entry, &header, batch);
        Ok(())
    }

    /// Bytes of the object so far, about.
    pub fn bytes(&self) -> u64 {
        self.position + (self.block.bytes() + self.indexes.len()) as u64
    }

    /// Whether nothing was added: such a segment cannot be finished.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.runs.is_empty()
    }

    /// Writes indexes, directory and footer, and gives the object its name; durable when it
    /// returns.
    ///
    /// # Errors
    /// `Exists` if the name was taken meanwhile, `Invalid` if the segment is empty or an index too
    /// large, or what the store says.
    pub fn finish(mut self) -> Result<Written, StoreError> {
        self.end_run()?;
        if self.runs.is_empty() {
            return Err(self.refuse("Cannot finish without a batch"));
        }
        let blocks_end = self.position;
        let indexes = std::mem::take(&mut self.indexes);
        self.write(&indexes)?;
        let mut pos = blocks_end;
        for run in &mut self.runs {
            run.index_pos = pos;
            pos += u64::from(run.index_len);
        }
        let directory = Directory {
            runs: std::mem::take(&mut self.runs),
        };
        let bytes = directory.encode();
        let footer = Footer {
            header: self.header,
            directory_pos: self.position,
            directory_crc: crc::crc32c(&bytes),
            directory_len: self.length(bytes.len())?,
            blocks_end,
            blocks: self.blocks,
            runs: self.length(directory.runs.len())?,
        };
        self.write(&bytes)?;
        self.write(&footer.encode())?;
        self.out.finish()?;
        Ok(Written {
            bytes: self.position,
            directory,
        })
    }

    /// The batch's header, if the batch is whole and the one that `entry` means.
    fn verify(&self, entry: &Entry, batch: &[u8]) -> Result<BatchHeader, StoreError> {
        let header = BatchHeader::parse_exact(batch)
            .and_then(|header| batch::check_crc(batch, &header).map(|()| header));
        let meant = header.ok().filter(|header| {
            header.base_offset == entry.base_offset
                && i64::from(header.last_offset_delta) + 1 == i64::from(entry.count)
                && header.leader_epoch.cast_unsigned() == entry.epoch
                && entry.base_offset >= 0
                && header.last_offset().checked_add(1).is_some()
        });
        let Some(header) = meant else {
            let place = format!("{} of partition {}", entry.base_offset, entry.partition);
            return Err(StoreError::new(
                ErrorKind::Damaged,
                "Cannot copy the batch at offset",
                place,
            ));
        };
        let fits = self.bytes() + (batch.len() as u64) < SEGMENT_BYTES_MAX - FRAME_BYTES_MAX;
        match fits && batch.len() as u64 <= FRAME_BYTES_MAX {
            true => Ok(header),
            false => Err(self.refuse("Cannot put more into")),
        }
    }

    fn end_run(&mut self) -> Result<(), StoreError> {
        self.end_block()?;
        if let Some(run) = self.run.take() {
            let index = &self.indexes[run.index_start()..];
            let [len, checksum] = [self.length(index.len())?, crc::crc32c(index)];
            self.runs.push(run.finish(len, checksum));
            self.last = None;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), StoreError> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let Some(closed) = self.block.close(run.id(), self.position) else {
            return Ok(());
        };
        let mut closed =
            closed.map_err(|error| StoreError::format("Cannot write", &self.name, error))?;
        run.count_block(&mut closed.block);
        encode_block(&mut self.indexes, self.last.as_ref(), &closed.block);
        self.last = Some(closed.block);
        self.blocks += 1;
        self.write(&closed.front)?;
        self.write(&closed.data)?;
        self.block.reuse(closed.data);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn length(&self, bytes: usize) -> Result<u32, StoreError> {
        let fits = |bytes: &u32| *bytes <= INDEX_BYTES_MAX;
        u32::try_from(bytes).ok().filter(fits).ok_or_else(|| {
            let error = FormatError::TooLarge {
                what: "segment index",
                found: bytes as u64,
                max: INDEX_BYTES_MAX.into(),
            };
            StoreError::new(ErrorKind::Invalid, "Cannot finish", &self.name).because(error)
        })
    }

    fn refuse(&self, what: &'static str) -> StoreError {
        StoreError::new(ErrorKind::Invalid, what, &self.name)
    }
}
