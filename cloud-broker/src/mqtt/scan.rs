//! Passes through the log for subscriptions that are behind. Batches are given out in order of
//! their arrival, then of their partition, and within a partition by offset. What no reader can
//! want, by the topic filters, is not read; what is read is read, and opened, once for all readers.
//!
//! Readers that come together read together (`core/src/replay/company.rs`). One that is full drops
//! out and goes on alone, so that it holds up nobody; those that a scan does not come to for seconds
//! go on with another.

mod give;
mod read;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use headwater_broker_core::PartitionId;
use headwater_broker_core::interest::Interest;
use headwater_broker_core::replay::{Company, Part, are_near, may_join};
use headwater_mqtt::{PropertyBuf, Reason};
use headwater_wire::time::Millis;
use tokio::task::spawn_local;

pub(super) use self::read::READS_MAX;
use self::read::Stretch;
use super::connection::{Connection, End};
use super::core::Core;
use super::seek::{Manner, Place};
use super::subscriptions::{At, Grant, Group, Subscription};
use crate::backend::{Piece, ReadError, StoredBatch};
use crate::limits::Reserved;

/// So many scans wait for company at a time, each at another place in the log; who comes then waits
/// with any of them.
const GATHERING_MAX: usize = 8;
/// How often a scan looks whether some reader is better off without it.
const CHECK_EVERY_MS: i64 = 1_000;

/// Names a scan of its core; never given twice.
pub(super) type ScanId = u64;

/// A group of a connection's subscriptions that is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reader {
    /// Place in the core's table.
    pub(super) connection: u32,
    pub(super) group: Group,
}

/// The scans of one core.
#[derive(Debug)]
pub(super) struct Scans {
    /// All of them, the one that waits for company included.
    scans: BTreeMap<ScanId, Scan>,
    gathering: BTreeMap<ScanId, Company>,
    /// When one that others may join last began.
    began: Option<Millis>,
    last: ScanId,
    clock: Instant,
}

#[derive(Debug)]
struct Scan {
    /// Whether others may join.
    shared: bool,
    begun: bool,
    place: Place,
    ahead: BTreeMap<usize, Ahead>,
    held_bytes: usize,
    /// Partitions that it has to read, about.
    behind: usize,
    /// Memory for the batches that it holds.
    held: Reserved,
    interest: Interest<Reader, Subscription>,
    readers: BTreeMap<Reader, Part>,
    checked: Millis,
    /// Memory that is used again.
    targets: Vec<(Reader, Subscription)>,
    grant: Grant,
    properties: PropertyBuf,
}

/// What is known of a partition from its next offset on: first batches that have been read, then
/// what lies behind them.
#[derive(Debug, Default)]
struct Ahead {
    batches: VecDeque<StoredBatch>,
    pieces: VecDeque<Piece>,
}

/// What is to be done next for a scan.
enum Step {
    /// It has caught up, or nobody reads with it any more.
    Ended,
    /// More can be given out at once.
    More,
    /// This has to be read from the disk.
    Read(Stretch),
}

/// Has a reader read for from `place` on; gives by which scan.
pub(super) fn begin<'f>(
    core: &Rc<Core>,
    reader: Reader,
    place: Place,
    manner: Manner,
    filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
) -> ScanId {
    let mut scans = core.scans.borrow_mut();
    let now = scans.now();
    let (id, start) = scans.scan_for(&place, manner, now);
    let scan = scans.scans.entry(id).or_insert_with(|| {
        let held = core.door.limits.reserve_answer();
        Scan::new(place.place(), manner, held, now)
    });
    scan.take(reader, place, core.fanout.borrow().next(), now, filters);
    match start {
        Start::Joined => {}
        Start::Now => drop(spawn_local(run(Rc::clone(core), id))),
        Start::Waits => drop(spawn_local(gather(Rc::clone(core), id))),
    }
    id
}

/// Has a reader that another scan has sent away read for by a new one, with others that were.
fn begin_apart<'f>(
    core: &Rc<Core>,
    apart: &mut Option<ScanId>,
    reader: Reader,
    place: Place,
    filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
) -> ScanId {
    let mut scans = core.scans.borrow_mut();
    let now = scans.now();
    let id = *apart.get_or_insert_with(|| {
        let id = scans.new_id();
        let held = core.door.limits.reserve_answer();
        let scan = Scan::new(place.place(), Manner::InCompany, held, now);
        scans.scans.insert(id, scan);
        spawn_local(run(Rc::clone(core), id));
        id
    });
    if let Some(scan) = scans.scans.get_mut(&id) {
        scan.take(reader, place, core.fanout.borrow().next(), now, filters);
    }
    id
}

/// The client is told to come again: better than a hole that it does not see.
pub(super) fn give_up(connection: &Connection, error: &ReadError) {
    tracing::error!(
        "A subscriber at {} cannot be served: {error}",
        connection.peer
    );
    connection.close(End::Because(Reason::UNSPECIFIED));
}

async fn run(core: Rc<Core>, id: ScanId) {
    core.scans.borrow_mut().begins(id);
    loop {
        match core.scan_on(id) {
            Step::Ended => break,
            Step::More => tokio::task::yield_now().await,
            Step::Read(stretch) => core.read(id, stretch).await,
        }
        core.flush_marked();
    }
    core.flush_marked();
}

/// Waits for company, then begins.
async fn gather(core: Rc<Core>, id: ScanId) {
    loop {
        let left = {
            let scans = core.scans.borrow();
            let Some(company) = scans.gathering.get(&id) else {
                return;
            };
            company.due().0.saturating_sub(scans.now().0)
        };
        match u64::try_from(left) {
            Ok(left) if left > 0 => tokio::time::sleep(Duration::from_millis(left)).await,
            _ => break,
        }
    }
    core.scans.borrow_mut().gathering.remove(&id);
    run(core, id).await;
}

/// How a reader comes to a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It runs already, or others wait for it.
    Joined,
    /// It begins at once.
    Now,
    /// It waits for company.
    Waits,
}

impl Default for Scans {
    fn default() -> Self {
        Self {
            scans: BTreeMap::new(),
            gathering: BTreeMap::new(),
            began: None,
            last: 0,
            clock: Instant::now(),
        }
    }
}

impl Scans {
    /// A reader wants one thing more.
    pub(super) fn insert(&mut self, id: ScanId, filter: &str, reader: Reader, what: Subscription) {
        if let Some(scan) = self.scans.get_mut(&id) {
            scan.interest.insert(filter, reader, what);
        }
    }

    /// A reader does not want something any more.
    pub(super) fn remove(&mut self, id: ScanId, filter: &str, reader: Reader) {
        if let Some(scan) = self.scans.get_mut(&id) {
            scan.interest.remove(filter, &reader);
        }
    }

    /// A reader whose filters have been taken out is gone.
    pub(super) fn leave(&mut self, id: ScanId, reader: Reader) {
        if let Some(scan) = self.scans.get_mut(&id) {
            scan.readers.remove(&reader);
        }
    }

    fn begins(&mut self, id: ScanId) {
        let now = self.now();
        if let Some(scan) = self.scans.get_mut(&id) {
            self.began = Some(now).filter(|_| scan.shared).or(self.began);
            scan.begun = true;
            scan.readers.values_mut().for_each(|part| part.begins(now));
        }
    }

    /// Time since the core began.
    fn now(&self) -> Millis {
        Millis(i64::try_from(self.clock.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn scan_for(&mut self, place: &Place, manner: Manner, now: Millis) -> (ScanId, Start) {
        if manner == Manner::Alone {
            return (self.new_id(), Start::Now);
        }
        let waits = manner == Manner::InCompany;
        if waits && let Some(id) = self.gather_with(place, now) {
            return (id, Start::Joined);
        }
        let gathering = &self.gathering;
        let mut shared = self
            .scans
            .iter()
            .filter(|(id, scan)| scan.shared && !gathering.contains_key(id));
        if let Some((id, _)) = shared.find(|(_, scan)| may_join(place, &scan.place)) {
            return (*id, Start::Joined);
        }
        let runs = self.scans.values().any(|scan| scan.shared);
        let id = self.new_id();
        if !waits || !runs && Company::is_needless(self.began, now) {
            self.began = Some(now);
            return (id, Start::Now);
        }
        self.gathering.insert(id, Company::new(now));
        (id, Start::Waits)
    }

    /// A scan that waits for company near a place.
    fn gather_with(&mut self, place: &Place, now: Millis) -> Option<ScanId> {
        let is_full = self.gathering.len() >= GATHERING_MAX;
        let scans = &self.scans;
        let is_near = |id| {
            scans
                .get(id)
                .is_some_and(|scan| are_near(place, &scan.place))
        };
        let mut gathering = self.gathering.iter_mut();
        let (id, company) = gathering.find(|(id, _)| is_full || is_near(id))?;
        company.joined(now);
        Some(*id)
    }

    fn new_id(&mut self) -> ScanId {
        self.last += 1;
        self.last
    }
}

impl Scan {
    fn new(place: Place, manner: Manner, held: Reserved, now: Millis) -> Self {
        Self {
            shared: manner != Manner::Alone,
            begun: false,
            place,
            ahead: BTreeMap::new(),
            held_bytes: 0,
            behind: 1,
            held,
            interest: Interest::default(),
            readers: BTreeMap::new(),
            checked: now,
            targets: Vec::new(),
            grant: Grant::default(),
            properties: PropertyBuf::new(),
        }
    }

    /// A reader joins; one that begins earlier than the others can do so only before the scan
    /// begins.
    fn take<'f>(
        &mut self,
        reader: Reader,
        place: Place,
        live: &[i64],
        now: Millis,
        filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
    ) {
        debug_assert!(!self.begun || may_join(&place, &self.place));
        self.place.lower_to(&place);
        for (filter, subscription) in filters {
            self.interest.insert(filter, reader, subscription.clone());
        }
        self.readers.insert(reader, Part::new(place, live, now));
    }

    /// A reader goes that has got everything before its place; gives that.
    fn drop_out<'f>(
        &mut self,
        reader: Reader,
        at: Option<At<'_>>,
        filters: impl Iterator<Item = (&'f str, &'f Subscription)>,
    ) -> Option<Place> {
        for (filter, _) in filters {
            self.interest.remove(filter, &reader);
        }
        let part = self.readers.remove(&reader)?;
        let mut scan = self.place.place();
        if let Some(at) = at {
            scan.skip_to(at.index, at.offset);
        }
        Some(part.place(&scan))
    }
}

fn partition_at(index: usize) -> PartitionId {
    PartitionId(u32::try_from(index).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::LimitsConfig;
    use crate::limits::Limits;

    #[test]
    fn readers_that_are_far_apart_gather_apart() {
        let limits = Limits::new(&LimitsConfig::default(), Arc::default());
        let (mut scans, now) = (Scans::default(), Millis(1_000));
        let begun = [0, 1_000_000, 990_000, 500_000, 1_000_000, 500_000].map(|offset| {
            let place = Place::new(vec![0, 7, offset], 0);
            let (id, start) = scans.scan_for(&place, Manner::InCompany, now);
            let scan = || Scan::new(place, Manner::InCompany, limits.reserve_answer(), now);
            scans.scans.entry(id).or_insert_with(scan);
            (id, start)
        });
        let expected = [
            (1, Start::Now),
            (2, Start::Waits),
            (2, Start::Joined),
            (3, Start::Waits),
            (2, Start::Joined),
            (3, Start::Joined),
        ];
        assert_eq!(begun, expected);
    }
}
