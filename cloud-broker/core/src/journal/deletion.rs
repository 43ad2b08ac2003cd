//! Deleting a stream. One record of the catalog makes it so: what else is known of the stream
//! (positions, producers, bindings of lanes) is forgotten here, and counts for nothing when it is
//! read back, since no stream has its identity any more.

use std::sync::Arc;

use crate::catalog::{CATALOG, LANES};
use crate::{Catalog, Stream, StreamId};

use super::Journal;
use super::part::Part;
use super::undo::Undo;

impl Journal {
    /// Deletes a stream: from here on it takes nothing, and its lanes are closed. Gives false, and
    /// does nothing, if there is none of this identity or if it is internal.
    pub fn delete_stream(&mut self, id: &StreamId) -> bool {
        let stream = self.catalog.by_id(id).filter(|stream| !stream.internal);
        let Some(stream) = stream.cloned() else {
            return false;
        };
        let chunk = &mut self.log.chunk;
        chunk.undo.push(Undo::Catalog(Arc::clone(&self.catalog)));
        chunk.changes.catalog = true;
        let name = &stream.spec.name;
        chunk.changes.lanes.retain(|lane| lane.name.stream != *name);
        chunk.changes.deleted.push(name.clone());
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.remove(name);
        self.catalog = Arc::new(catalog);
        for id in &stream.partitions {
            let part = &mut self.log.parts[id.index()];
            let before = Box::new(std::mem::replace(part, Part::gone()));
            self.log.chunk.undo.push(Undo::Gone { id: *id, before });
        }
        self.forget_bindings(&stream);
        self.holders.close_stream(id);
        self.keep(CATALOG, name.as_bytes(), None);
        true
    }

    /// Their records stay in the log and are passed over when they are read back.
    fn forget_bindings(&mut self, stream: &Stream) {
        let lanes = self.catalog.by_name(LANES).map(Arc::clone);
        let lanes = lanes.expect("internal streams are always there");
        let name = &stream.spec.name;
        let bound = self.bindings.devices_of(name, &stream.id);
        for device in bound.map(str::to_owned).collect::<Vec<_>>() {
            let key = format!("{device}/{name}").into_bytes();
            let id = lanes.partition_for_key(&key);
            let before = self.log.parts[id.index()].records.remove(&key);
            let undo = &mut self.log.chunk.undo;
            undo.push(Undo::Record { id, key, before });
            let before = self.bindings.put(&device, name, None);
            undo.push(Undo::Binding {
                device,
                stream: name.clone(),
                before,
            });
        }
    }
}
