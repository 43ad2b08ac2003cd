//! The registers that say whose log this is: `cluster`, a head for each journal, a manifest for
//! each shard (`cluster.md` 2.4 to 2.7).

mod claim;
mod pages;

use headwater_broker_core::catalog::SHARDS;
use headwater_store::format::cluster::Cluster;
use headwater_store::format::head::{Head, State};
use headwater_store::traits::Registers;
use headwater_store::{ErrorKind, Incarnation, Outcome, Store, StoreError, WriteId, names};

use super::random;

pub(super) use claim::Claim;

/// The cluster's register, made by the first start: before anything else, so that a log without it
/// has lost it.
pub(super) fn open_cluster(store: &Store) -> Result<Cluster, StoreError> {
    let registers = &*store.registers;
    loop {
        if let Some(found) = registers.read(names::CLUSTER)? {
            return Cluster::decode(&found.value)
                .map_err(|error| StoreError::format("Cannot read", names::CLUSTER, error));
        }
        if !store.slots.incarnations()?.is_empty() {
            let what = "There are journals, and no register";
            return Err(StoreError::new(ErrorKind::Damaged, what, names::CLUSTER));
        }
        let cluster = Cluster::new(WriteId(random()), random(), SHARDS);
        if registers.create(names::CLUSTER, &cluster.encode())? == Outcome::Mine {
            return Ok(cluster);
        }
    }
}

/// The head of a new journal.
pub(super) fn create_head(registers: &dyn Registers, inc: Incarnation) -> Result<(), StoreError> {
    let name = names::head(inc);
    let value = Head::new(WriteId(random())).encode();
    loop {
        match registers.create(&name, &value)? {
            Outcome::Mine => return Ok(()),
            Outcome::Unknown => {}
            Outcome::Theirs(_) => {
                return Err(StoreError::new(
                    ErrorKind::Exists,
                    "Cannot begin a journal",
                    name,
                ));
            }
        }
    }
}

/// Moves a head on, unless it is sealed or there is none: to frozen, or to sealed at `end`.
pub(super) fn move_head(
    registers: &dyn Registers,
    inc: Incarnation,
    end: Option<u64>,
) -> Result<(), StoreError> {
    let name = names::head(inc);
    loop {
        let Some(found) = registers.read(&name)? else {
            return Ok(());
        };
        let mut head = Head::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        let wanted = if end.is_some() {
            State::Sealed
        } else {
            State::Frozen
        };
        if head.state == State::Sealed || head.state == wanted {
            return Ok(());
        }
        (head.state, head.end) = (wanted, end);
        (head.rev, head.write_id) = (head.rev + 1, WriteId(random()));
        match registers.cas(&name, &found.version, &head.encode())? {
            Outcome::Mine => return Ok(()),
            // Look again what it says.
            Outcome::Theirs(_) | Outcome::Unknown => {}
        }
    }
}

/// Raises the low-water mark of our own journal: slots below it may be deleted once this returns.
pub(super) fn raise_low(
    registers: &dyn Registers,
    inc: Incarnation,
    low: u64,
) -> Result<(), StoreError> {
    let name = names::head(inc);
    loop {
        let missing = || StoreError::new(ErrorKind::NotFound, "Cannot find register", &name);
        let found = registers.read(&name)?.ok_or_else(missing)?;
        let mut head = Head::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        if head.state != State::Open {
            let what = "Somebody else has ended";
            return Err(StoreError::new(ErrorKind::Exists, what, name));
        }
        if head.low >= low {
            return Ok(());
        }
        head.low = low;
        (head.rev, head.write_id) = (head.rev + 1, WriteId(random()));
        match registers.cas(&name, &found.version, &head.encode())? {
            Outcome::Mine => return Ok(()),
            // Look again what it says.
            Outcome::Theirs(_) | Outcome::Unknown => {}
        }
    }
}

/// Where a journal was ended, if it was.
pub(super) fn end_of(
    registers: &dyn Registers,
    inc: Incarnation,
) -> Result<Option<u64>, StoreError> {
    let name = names::head(inc);
    let Some(found) = registers.read(&name)? else {
        return Ok(None);
    };
    let head = Head::decode(&found.value);
    let head = head.map_err(|error| StoreError::format("Cannot read", &name, error))?;
    Ok(head.end)
}

/// Journals whose head says that nobody has ended them.
pub(super) fn unsealed_journals(registers: &dyn Registers) -> Result<Vec<Incarnation>, StoreError> {
    let mut unsealed = Vec::new();
    for name in registers.list("j/")? {
        let Some(inc) = names::parse_head(&name) else {
            continue;
        };
        let Some(found) = registers.read(&name)? else {
            continue;
        };
        let head = Head::decode(&found.value)
            .map_err(|error| StoreError::format("Cannot read", &name, error))?;
        if head.state != State::Sealed {
            unsealed.push(inc);
        }
    }
    Ok(unsealed)
}
