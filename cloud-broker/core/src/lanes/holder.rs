//! Which connection opened each lane last; in memory only. That connection alone may extend it.

use std::collections::BTreeMap;

use crate::StreamId;

/// Holders of lanes, by producer id.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    by_id: BTreeMap<i64, Held>,
    by_connection: BTreeMap<u64, Vec<i64>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    connection: u64,
    stream: StreamId,
}

impl Holders {
    /// Gives a lane of a stream to a connection; false, and nothing done, if that holds `most`
    /// already.
    pub fn open(&mut self, id: i64, connection: u64, stream: StreamId, most: usize) -> bool {
        let held = Held { connection, stream };
        if self.holds(id, connection) {
            self.by_id.insert(id, held);
            return true;
        }
        if self.by_connection.get(&connection).map_or(0, Vec::len) >= most {
            return false;
        }
        self.close(id);
        self.by_id.insert(id, held);
        self.by_connection.entry(connection).or_default().push(id);
        true
    }

    /// Whether this connection opened the lane last, and nothing closed it since.
    #[must_use]
    pub fn holds(&self, id: i64, connection: u64) -> bool {
        self.by_id
            .get(&id)
            .is_some_and(|held| held.connection == connection)
    }

    /// Closes a lane until somebody opens it.
    pub fn close(&mut self, id: i64) {
        let Some(Held { connection, .. }) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(ids) = self.by_connection.get_mut(&connection) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    /// Closes all lanes of a connection.
    pub fn disconnect(&mut self, connection: u64) {
        for id in self.by_connection.remove(&connection).unwrap_or_default() {
            self.by_id.remove(&id);
        }
    }

    /// Closes all lanes of a stream: one that is made again under its name is another, and the
    /// agent has to hear of that in a handshake.
    pub fn close_stream(&mut self, stream: &StreamId) {
        let of_stream = self.by_id.iter().filter(|(_, held)| held.stream == *stream);
        let ids: Vec<i64> = of_stream.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.close(id));
    }

    /// Closes all lanes: nobody knows any more who was told what.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.by_connection.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StreamId = [1; 16];

    #[test]
    fn the_last_to_open_holds() {
        let mut holders = Holders::default();
        assert!(holders.open(1, 10, ONE, 2) && holders.open(2, 10, ONE, 2));
        assert!(!holders.open(3, 10, ONE, 2), "bounded");
        assert!(
            holders.open(1, 10, ONE, 2),
            "what it holds it may open again"
        );
        assert!(holders.open(1, 11, ONE, 2));
        assert!(holders.holds(1, 11) && !holders.holds(1, 10) && holders.holds(2, 10));
        assert!(
            holders.open(3, 10, ONE, 2),
            "the lane that it lost does not count"
        );
        holders.close(1);
        assert!(!holders.holds(1, 11));
        holders.disconnect(10);
        assert!(!holders.holds(2, 10) && !holders.holds(3, 10));
        assert!(holders.by_id.is_empty() && holders.by_connection.is_empty());
    }

    #[test]
    fn a_streams_lanes_are_closed_with_it() {
        let mut holders = Holders::default();
        assert!(holders.open(1, 10, ONE, 3) && holders.open(2, 10, [2; 16], 3));
        assert!(holders.open(3, 11, ONE, 3));
        holders.close_stream(&ONE);
        assert!(!holders.holds(1, 10) && holders.holds(2, 10) && !holders.holds(3, 11));
        assert!(holders.open(2, 10, ONE, 3), "made again, and opened again");
        holders.close_stream(&[2; 16]);
        assert!(holders.holds(2, 10));
    }
}
