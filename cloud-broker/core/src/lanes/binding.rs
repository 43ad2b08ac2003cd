//! Which partition the lanes of a device and stream lie in: a record of `__lanes`, key
//! `device/stream`, value JSON, durable no later than the lanes' first batch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{StreamId, uuid};

/// Most generations of one lane: a device that repairs more often is broken.
pub const GENERATIONS_MAX: usize = 1000;

/// All bindings, by device and stream.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    by_device: BTreeMap<String, BTreeMap<String, Binding>>,
}

/// One binding: for all lanes and generations of a device in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Identity of the stream.
    pub topic_id: StreamId,
    /// Partition of the stream.
    pub partition: u32,
    /// By name.
    pub lanes: BTreeMap<String, BoundLane>,
}

/// One lane of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundLane {
    /// The highest generation.
    pub generation: u32,
    /// Producer ids of all generations that wrote or were reserved, in that order.
    pub ids: Vec<i64>,
}

/// A record of `__lanes` that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The key is not `device/stream`.
    #[error("Binding has a key that is not device/stream")]
    Key,
    /// Not JSON, or a field is missing or wrong.
    #[error("Binding is not as expected: {0}")]
    Json(#[from] serde_json::Error),
    /// The stream's identity is no UUID.
    #[error("Binding has no valid topic_id")]
    TopicId,
}

impl Binding {
    /// A binding without lanes.
    #[must_use]
    pub fn new(topic_id: StreamId, partition: u32) -> Self {
        Self {
            topic_id,
            partition,
            lanes: BTreeMap::new(),
        }
    }

    /// Takes a generation of a lane in; gives whether that changed anything, and `None` if the
    /// lane has too many generations.
    pub fn add(&mut self, lane: &str, generation: u32, id: i64) -> Option<bool> {
        let bound = self.lanes.entry(lane.to_owned()).or_default();
        if bound.ids.contains(&id) {
            return Some(false);
        }
        if bound.ids.len() >= GENERATIONS_MAX {
            return None;
        }
        bound.ids.push(id);
        bound.generation = bound.generation.max(generation);
        Some(true)
    }

    /// The value of the binding's record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let json = BindingJson {
            topic_id: uuid::format(&self.topic_id),
            partition: self.partition,
            lanes: self.lanes.clone(),
        };
        serde_json::to_vec(&json).expect("maps with text as keys become JSON")
    }

    fn decode(value: &[u8]) -> Result<Self, BindError> {
        let json: BindingJson = serde_json::from_slice(value)?;
        let topic_id = uuid::parse(&json.topic_id).ok_or(BindError::TopicId)?;
        Ok(Self {
            topic_id,
            partition: json.partition,
            lanes: json.lanes,
        })
    }
}

impl Bindings {
    /// The binding of a device and stream, if there is one for this very stream: one of a deleted
    /// stream of the same name does not count.
    #[must_use]
    pub fn find(&self, device: &str, stream: &str, topic_id: &StreamId) -> Option<&Binding> {
        let binding = self.by_device.get(device)?.get(stream)?;
        (binding.topic_id == *topic_id).then_some(binding)
    }

    /// The devices that have a binding for this very stream, which is called `name`.
    pub fn devices_of(&self, name: &str, topic_id: &StreamId) -> impl Iterator<Item = &str> {
        let devices = self.by_device.keys().map(String::as_str);
        devices.filter(move |device| self.find(device, name, topic_id).is_some())
    }

    /// Number of lanes that a device has in all streams.
    #[must_use]
    pub fn lanes_of(&self, device: &str) -> usize {
        self.by_device
            .get(device)
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|binding| binding.lanes.len())
            .sum()
    }

    /// Puts a binding in place of what there was, which it gives.
    pub(crate) fn put(
        &mut self,
        device: &str,
        stream: &str,
        binding: Option<Binding>,
    ) -> Option<Binding> {
        let streams = self.by_device.entry(device.to_owned()).or_default();
        let before = match binding {
            Some(binding) => streams.insert(stream.to_owned(), binding),
            None => streams.remove(stream),
        };
        if streams.is_empty() {
            self.by_device.remove(device);
        }
        before
    }

    /// Takes a record of `__lanes` in, as it is read back, if `lives` says so of its stream; gives
    /// whether it did.
    ///
    /// # Errors
    /// [`BindError`] if it is not a binding's record.
    pub fn handle_record(
        &mut self,
        key: &[u8],
        value: &[u8],
        lives: impl FnOnce(&StreamId) -> bool,
    ) -> Result<bool, BindError> {
        let key = std::str::from_utf8(key).map_err(|_| BindError::Key)?;
        let (device, stream) = key.split_once('/').ok_or(BindError::Key)?;
        let binding = Binding::decode(value)?;
        let lives = lives(&binding.topic_id);
        if lives {
            self.put(device, stream, Some(binding));
        }
        Ok(lives)
    }

    /// Device, stream and binding, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Binding)> {
        self.by_device.iter().flat_map(|(device, streams)| {
            let of_stream = |(stream, binding)| (device.as_str(), stream, binding);
            streams
                .iter()
                .map(|(stream, binding)| (stream.as_str(), binding))
                .map(of_stream)
        })
    }
}

#[derive(Serialize, Deserialize)]
struct BindingJson {
    topic_id: String,
    partition: u32,
    lanes: BTreeMap<String, BoundLane>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_back() {
        let mut binding = Binding::new([7; 16], 3);
        assert_eq!(binding.add("main", 0, 11), Some(true));
        assert_eq!(binding.add("main", 0, 11), Some(false));
        assert_eq!(binding.add("main", 2, 12), Some(true));
        assert_eq!(binding.add("live", 0, 13), Some(true));
        let text = String::from_utf8(binding.encode()).unwrap();
        assert_eq!(
            text,
            r#"{"topic_id":"07070707-0707-0707-0707-070707070707","partition":3,"lanes":{"#
                .to_owned()
                + r#""live":{"generation":0,"ids":[13]},"main":{"generation":2,"ids":[11,12]}}}"#
        );
        let mut bindings = Bindings::default();
        bindings
            .handle_record(b"gw-1/events", text.as_bytes(), |id| *id == [7; 16])
            .unwrap();
        let of_a_deleted = bindings.handle_record(b"gw-2/events", text.as_bytes(), |_| false);
        assert_eq!(of_a_deleted.ok(), Some(false));
        assert_eq!(bindings.find("gw-1", "events", &[7; 16]), Some(&binding));
        assert_eq!(bindings.find("gw-1", "events", &[8; 16]), None);
        assert_eq!(
            (bindings.lanes_of("gw-1"), bindings.lanes_of("gw-2")),
            (2, 0)
        );
        assert_eq!(
            bindings.iter().collect::<Vec<_>>(),
            [("gw-1", "events", &binding)]
        );
    }

    #[test]
    fn what_is_no_binding_is_refused() {
        let mut bindings = Bindings::default();
        assert!(matches!(
            bindings.handle_record(b"gw-1", b"{}", |_| true),
            Err(BindError::Key)
        ));
        assert!(matches!(
            bindings.handle_record(b"\xff/x", b"{}", |_| true),
            Err(BindError::Key)
        ));
        assert!(matches!(
            bindings.handle_record(b"a/b", b"{}", |_| true),
            Err(BindError::Json(_))
        ));
        let no_id = br#"{"topic_id":"x","partition":0,"lanes":{}}"#;
        assert!(matches!(
            bindings.handle_record(b"a/b", no_id, |_| true),
            Err(BindError::TopicId)
        ));
    }

    #[test]
    fn generations_are_bounded() {
        let mut binding = Binding::new([7; 16], 0);
        for generation in 0..1000 {
            assert_eq!(
                binding.add("main", generation, i64::from(generation)),
                Some(true)
            );
        }
        assert_eq!(binding.add("main", 1000, 1000), None);
    }
}
