//! The connections of one core, by place, so that a subscription names its owner by a number.

use std::rc::Rc;

use super::connection::Connection;

/// Places, some of them free.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Option<Rc<Connection>>>,
    free: Vec<u32>,
}

impl Table {
    /// Gives the connection a place, and tells it which.
    pub(super) fn insert(&mut self, connection: &Rc<Connection>) {
        let end = u32::try_from(self.places.len()).expect("Fewer connections than file handles");
        let index = self.free.pop().unwrap_or(end);
        if index == end {
            self.places.push(None);
        }
        self.places[index as usize] = Some(Rc::clone(connection));
        connection.index.set(index);
    }

    /// Frees the connection's place.
    pub(super) fn remove(&mut self, connection: &Connection) {
        let index = connection.index.replace(u32::MAX);
        let place = self.places.get_mut(index as usize);
        if place.and_then(Option::take).is_some() {
            self.free.push(index);
        }
    }

    /// The connection at a place.
    pub(super) fn at(&self, index: u32) -> Option<&Rc<Connection>> {
        self.places.get(index as usize)?.as_ref()
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Connection>> {
        self.places.iter().flatten()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }
}
