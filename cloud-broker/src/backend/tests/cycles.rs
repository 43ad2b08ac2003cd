//! Streams created and deleted over and over, by seed, on a disk that loses power at any write:
//! what was answered is so, and what was not is so or not, never half.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SEEDS: u64 = 80;
const LIVES: usize = 5;
const STEPS: usize = 12;
const NAMES: [&str; 3] = ["a", "b", "c"];

#[test]
fn the_catalog_is_what_was_answered() {
    let mut deletions = 0;
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        for _ in 0..LIVES {
            world.live();
            let change = 1 + world.chance.below(80);
            world.site.fall(change);
            world.check();
        }
        deletions += world.deletions;
    }
    assert!(deletions >= 100, "{deletions}");
}

/// A stream as the client knows it, and what it appended to its first partition.
#[derive(Clone)]
struct Known {
    id: StreamId,
    values: Vec<String>,
}

/// What was asked and not answered.
enum Open {
    Create(&'static str),
    Delete(&'static str),
    Append(&'static str, String),
}

struct World {
    site: Site,
    chance: Chance,
    streams: BTreeMap<&'static str, Known>,
    /// Identities that were ever seen.
    ids: BTreeSet<StreamId>,
    open: Option<Open>,
    deletions: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut site = Site::new(seed);
        site.compact_after(1 + seed % 5);
        site.options.recent_bytes = if seed.is_multiple_of(2) { 0 } else { 1 << 20 };
        site.start().unwrap();
        Self {
            site,
            chance: Chance::new(seed),
            streams: BTreeMap::new(),
            ids: BTreeSet::new(),
            open: None,
            deletions: 0,
        }
    }

    /// One life: works until its steps are over or the power fails.
    fn live(&mut self) {
        self.site.power_off_at(1 + self.chance.below(60));
        for _ in 0..STEPS {
            if !self.step() {
                return;
            }
        }
        if self.chance.below(2) == 0 {
            self.site.backend().stop();
        }
    }

    /// Creates, deletes or appends; false once the log takes nothing any more.
    fn step(&mut self) -> bool {
        let name = NAMES[usize::try_from(self.chance.below(3)).unwrap()];
        let Some(known) = self.streams.get(name).cloned() else {
            return self.create(name);
        };
        if self.chance.below(3) == 0 {
            return self.delete(name, known.id);
        }
        let value = format!("{name} {}", self.chance.0);
        let stream = self.site.backend().catalog().by_id(&known.id).cloned();
        let place = stream.expect("it was created").partitions[0];
        self.open = Some(Open::Append(name, value.clone()));
        let batch = batch(Producer::NONE, &[&value]);
        let appended = match wait(self.site.backend().append(place, batch)) {
            Ok(appended) => appended,
            Err(AppendError::Unavailable(_)) => return false,
            Err(error) => panic!("{error}"),
        };
        let values = &mut self.streams.get_mut(name).expect("known").values;
        assert_eq!(appended.base_offset, i64::try_from(values.len()).unwrap());
        values.push(value);
        self.open = None;
        true
    }

    fn create(&mut self, name: &'static str) -> bool {
        self.open = Some(Open::Create(name));
        let spec = StreamSpec {
            partitions: 1 + u32::try_from(self.chance.below(3)).unwrap(),
            ..StreamSpec::new(name)
        };
        let stream = match wait(self.site.backend().create_stream(spec)) {
            Ok(stream) => stream,
            Err(CreateError::Unavailable(_)) => return false,
            Err(error) => panic!("{error}"),
        };
        assert!(self.ids.insert(stream.id), "never used before");
        let (id, values) = (stream.id, Vec::new());
        self.streams.insert(name, Known { id, values });
        self.open = None;
        true
    }

    fn delete(&mut self, name: &'static str, id: StreamId) -> bool {
        self.open = Some(Open::Delete(name));
        match wait(self.site.backend().delete_stream(id)) {
            Ok(()) => {}
            Err(DeleteError::Unavailable(_)) => return false,
            Err(error) => panic!("{error}"),
        }
        self.streams.remove(name);
        self.deletions += 1;
        self.open = None;
        true
    }

    /// After a start: all is as it was answered; what was open is done, or is not.
    fn check(&mut self) {
        let catalog = self.site.backend().catalog();
        let open = self.open.take();
        for name in NAMES {
            let found = catalog.by_name(name);
            let known = self.streams.get(name).cloned();
            let (found, mut known) = match (found, known) {
                (None, None) => continue,
                (Some(found), Some(known)) => (found, known),
                (Some(found), None) => {
                    assert!(matches!(open, Some(Open::Create(asked)) if asked == name));
                    assert!(self.ids.insert(found.id), "never used before");
                    let (id, values) = (found.id, Vec::new());
                    (found, Known { id, values })
                }
                (None, Some(_)) => {
                    assert!(matches!(open, Some(Open::Delete(asked)) if asked == name));
                    self.streams.remove(name);
                    continue;
                }
            };
            assert_eq!(found.id, known.id);
            let records = self.site.records(found.partitions[0]);
            if let Some(Open::Append(asked, value)) = &open
                && *asked == name
                && records.len() > known.values.len()
            {
                known.values.push(value.clone());
            }
            assert_eq!(
                values(&records),
                known.values,
                "what was appended, and nothing older"
            );
            self.streams.insert(name, known);
        }
        let others = catalog.streams().filter(|stream| !stream.internal);
        assert_eq!(others.count(), self.streams.len() + 1, "and `events`");
    }
}
