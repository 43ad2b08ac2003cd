use std::collections::BTreeSet;

use headwater_store::faulty::FakeDisk;
use headwater_store::{local, memory};

use super::*;

/// A segment of about 50 bytes.
fn segment(name: u32) -> Kept<Segment> {
    let name = format!("{name:040}");
    Segment {
        name,
        bytes: 1,
        ..Segment::default()
    }
    .into()
}

fn blobs() -> std::sync::Arc<dyn Blobs> {
    let store = local::open_on(FakeDisk::new(1).shared(), memory::options());
    store.unwrap().blobs
}

/// A list that changes as compaction changes it.
struct World {
    blobs: std::sync::Arc<dyn Blobs>,
    fields: Fields,
    pages: Pages,
    names: Names,
}

impl World {
    fn new() -> Self {
        let fields = Fields {
            owner: vec![7; 16],
            ..Fields::default()
        };
        Self {
            blobs: blobs(),
            fields,
            pages: Pages::default(),
            names: Names::default(),
        }
    }

    /// Gives how many pages were written.
    fn fold(&mut self) -> usize {
        let (blobs, names) = (&*self.blobs, &mut self.names);
        let folded = self.pages.fold(blobs, &mut self.fields, 1000, names);
        self.pages = folded.unwrap();
        let written = std::mem::take(&mut self.names.given).len();
        self.check();
        written / 2
    }

    /// What is stored says the same, and is small.
    fn check(&self) {
        let paged = self.pages.segments();
        let own = page::bytes_of(&self.fields.segments[paged..]);
        assert!(own <= 2000, "{own}");
        let mut stored = self.fields.clone();
        stored.segments.drain(..paged);
        let read = Pages::unfold(&*self.blobs, &mut stored).unwrap();
        assert_eq!(stored.segments, self.fields.segments);
        let all = |pages: &Pages| pages.names().collect::<BTreeSet<_>>();
        assert_eq!(all(&read), all(&self.pages));
    }
}

#[test]
fn a_long_list_has_pages_that_stay_as_they_are() {
    let mut world = World::new();
    let mut written = 0;
    for name in 0..500 {
        world.fields.segments.push(segment(name));
        written += world.fold();
    }
    assert!((20..30).contains(&written), "{written}");
    assert_eq!(world.pages.all.len(), written, "each of them once");
    // What is old leaves.
    let before = world.fields.pages.clone();
    world.fields.segments.drain(..10);
    assert_eq!(world.fold(), 1);
    assert_eq!(world.fields.pages[1..], before[1..]);
    // Some that lie in pages become one.
    world.fields.segments.splice(100..102, [segment(1000)]);
    assert_eq!(world.fold(), 1);
    world.fields.segments.drain(1..);
    world.fold();
    assert_eq!(world.fields.pages, [], "so little needs none");
}

#[test]
fn any_changes_leave_what_is_listed() {
    for seed in 1..60u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        let mut world = World::new();
        let mut next = 0;
        for _ in 0..60 {
            let segments = &mut world.fields.segments;
            let mut new = |count: usize| {
                let first = next;
                next += u32::try_from(count).unwrap();
                (first..next).map(segment)
            };
            match below(5) {
                4 if !segments.is_empty() => {
                    // What is said of some changes, as compaction by key does.
                    let first = below(segments.len());
                    let changed = segments[first..].iter_mut().take(1 + below(30));
                    changed.for_each(|segment| segment.known.dead_bytes += 1);
                }
                0 => drop(segments.drain(..below(10).min(segments.len()))),
                1 if !segments.is_empty() => {
                    let first = below(segments.len());
                    segments.remove(below(segments.len()));
                    let first = first.min(segments.len());
                    segments.splice(first..first, new(1));
                }
                _ => segments.extend(new(1 + below(20))),
            }
            world.fold();
        }
    }
}

#[test]
fn one_of_two_copies_is_enough() {
    let mut world = World::new();
    world.fields.segments = (0..100).map(segment).collect();
    assert!(world.fold() > 0);
    let page = world.fields.pages[0].clone();
    world.blobs.delete(&page.name).unwrap();
    world.check();
    world.blobs.delete(&page.copy).unwrap();
    let mut stored = world.fields.clone();
    stored.segments.drain(..world.pages.segments());
    assert!(Pages::unfold(&*world.blobs, &mut stored).is_err());
}
