//! Which connection opened each lane last; in memory only. That connection alone may extend it.

use std::collections::BTreeMap;

/// Holders of lanes, by producer id.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    by_id: BTreeMap<i64, u64>,
    by_connection: BTreeMap<u64, Vec<i64>>,
}

impl Holders {
    /// Gives a lane to a connection; false, and nothing done, if that holds `most` already.
    pub fn open(&mut self, id: i64, connection: u64, most: usize) -> bool {
        if self.holds(id, connection) {
            return true;
        }
        if self.by_connection.get(&connection).map_or(0, Vec::len) >= most {
            return false;
        }
        self.close(id);
        self.by_id.insert(id, connection);
        self.by_connection.entry(connection).or_default().push(id);
        true
    }

    /// Whether this connection opened the lane last, and nothing closed it since.
    #[must_use]
    pub fn holds(&self, id: i64, connection: u64) -> bool {
        self.by_id.get(&id) == Some(&connection)
    }

    /// Closes a lane until somebody opens it.
    pub fn close(&mut self, id: i64) {
        let Some(connection) = self.by_id.remove(&id) else {
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

    /// Closes all lanes: nobody knows any more who was told what.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.by_connection.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_open_holds() {
        let mut holders = Holders::default();
        assert!(holders.open(1, 10, 2) && holders.open(2, 10, 2));
        assert!(!holders.open(3, 10, 2), "bounded");
        assert!(holders.open(1, 10, 2), "what it holds it may open again");
        assert!(holders.open(1, 11, 2));
        assert!(holders.holds(1, 11) && !holders.holds(1, 10) && holders.holds(2, 10));
        assert!(
            holders.open(3, 10, 2),
            "the lane that it lost does not count"
        );
        holders.close(1);
        assert!(!holders.holds(1, 11));
        holders.disconnect(10);
        assert!(!holders.holds(2, 10) && !holders.holds(3, 10));
        assert!(holders.by_id.is_empty() && holders.by_connection.is_empty());
    }
}
