//! A store that goes wrong between its caller and itself, over any other, with a history.
//!
//! What a disk does wrong is [`super::FakeDisk`]'s part, below the local engine. This one does
//! what a network or a dying process does to calls: a write whose outcome nobody knows, that
//! lands or not or later; a process that dies before or behind a write; a call that fails; a bit
//! that is turned round on the way. A seed decides, the same every time for the same calls.

mod blobs;
mod hold;
mod late;
mod registers;
mod slots;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::hold::Hold;
use self::late::Late;
use super::history::{Call, Operation, Told};
use super::random::Random;
use crate::error::{ErrorKind, StoreError};
use crate::traits::{Outcome, Store};

/// What goes wrong with calls, and when. Shares are of 1000 calls that it can happen to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallPlan {
    /// The process dies at this write, counted from 1: it takes effect or not, nobody is told, and
    /// nothing works until the next life.
    pub dies_at_write: Option<u64>,
    /// Share of conditional writes that take effect and answer `Unknown`.
    pub unknown_applied: u64,
    /// Share of conditional writes that do not, and answer `Unknown`.
    pub unknown_lost: u64,
    /// Share of conditional writes that answer `Unknown` and land some calls later, which may be
    /// in a later life.
    pub unknown_late: u64,
    /// Share of writes that fail and take no effect.
    pub failed: u64,
    /// Share of writes for which there is no space.
    pub full: u64,
    /// Share of reads that fail.
    pub unread: u64,
    /// Share of reads of slots and blobs in which one bit is turned round.
    pub flipped: u64,
}

/// Makes stores that go wrong. Clones are the same.
#[derive(Clone, Debug)]
pub struct FaultyCalls {
    state: Arc<Mutex<State>>,
    hold: Arc<Hold>,
}

/// One life's view of the inner store; all three traits are implemented on it.
#[derive(Clone, Debug)]
struct Line {
    inner: Store,
    life: u32,
    state: Arc<Mutex<State>>,
    hold: Arc<Hold>,
}

#[derive(Debug)]
struct State {
    plan: CallPlan,
    random: Random,
    life: u32,
    dead: bool,
    calls: u64,
    writes: u64,
    late: Vec<Late>,
    history: Vec<Operation>,
}

/// What a write is to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    /// The process dies; whether the write takes effect.
    Death(bool),
    UnknownApplied,
    UnknownLost,
    UnknownLate,
    Fails(ErrorKind),
}

impl FaultyCalls {
    /// Without faults, and with an empty history.
    pub fn new(seed: u64) -> Self {
        let state = State {
            plan: CallPlan::default(),
            random: Random::new(seed ^ 0x5eed),
            life: 0,
            dead: false,
            calls: 0,
            writes: 0,
            late: Vec::new(),
            history: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            hold: Arc::default(),
        }
    }

    /// The store for the next life of the process, over `inner`. The life before has ended, and
    /// so has its plan; its late writes may still land.
    pub fn open(&self, inner: Store) -> Store {
        self.hold.release();
        let mut state = self.lock();
        state.life += 1;
        state.dead = false;
        drop(state);
        self.plan(CallPlan::default());
        let line = Arc::new(Line {
            inner,
            life: self.lock().life,
            state: Arc::clone(&self.state),
            hold: Arc::clone(&self.hold),
        });
        Store {
            blobs: Arc::clone(&line) as _,
            registers: Arc::clone(&line) as _,
            slots: line,
        }
    }

    /// From now on these faults; the count of writes begins anew.
    pub fn plan(&self, plan: CallPlan) {
        let mut state = self.lock();
        state.plan = plan;
        state.writes = 0;
    }

    /// Ends the life that is open: every call of it fails from now on.
    pub fn kill(&self) {
        self.lock().dead = true;
        self.hold.release();
    }

    /// True once a planned death has come.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// From now on puts into slots wait, until [`FaultyCalls::release_puts`].
    pub fn hold_puts(&self) {
        self.hold.close();
    }

    /// Waits until a put waits, or `otherwise` says that none will come.
    pub fn wait_for_put(&self, otherwise: impl FnMut() -> bool) {
        self.hold.wait_for_one(otherwise);
    }

    /// Lets puts through again.
    pub fn release_puts(&self) {
        self.hold.release();
    }

    /// Writes that have not landed yet.
    pub fn late(&self) -> usize {
        self.lock().late.len()
    }

    /// Number of operations so far.
    pub fn operations(&self) -> usize {
        self.lock().history.len()
    }

    /// All operations so far.
    pub fn history(&self) -> Vec<Operation> {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Begins a call: late writes whose time has come land first.
    fn begin(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.dead || state.life != self.life {
            return Err(dead());
        }
        state.calls += 1;
        state.land(&self.inner);
        Ok(state)
    }

    /// A write whose outcome is no more than done or failed.
    fn write(
        &self,
        call: Call,
        work: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut state = self.begin()?;
        match state.fate(false) {
            Fate::Death(applied) => {
                let applied = applied && work().is_ok();
                state.note(self.life, call, Told::Died, Some(applied));
                state.dead = true;
                Err(dead())
            }
            Fate::Fails(kind) => {
                state.note(self.life, call, Told::Failed(kind), Some(false));
                Err(planned(kind))
            }
            Fate::Good | Fate::UnknownApplied | Fate::UnknownLost | Fate::UnknownLate => {
                let result = work();
                let (told, applied) = match &result {
                    Ok(()) => (Told::Done, Some(true)),
                    Err(error) => (Told::Failed(error.kind), None),
                };
                state.note(self.life, call, told, applied);
                result
            }
        }
    }

    /// A conditional write. `late`: the same, to land later.
    fn conditional<T>(
        &self,
        call: Call,
        late: impl FnOnce() -> late::Write,
        work: impl FnOnce() -> Result<Outcome<T>, StoreError>,
    ) -> Result<Outcome<T>, StoreError> {
        let mut state = self.begin()?;
        let fate = state.fate(true);
        let (told, applied, answer) = match fate {
            Fate::Death(false) => (Told::Died, Some(false), Err(dead())),
            Fate::UnknownLost => (Told::Unknown, Some(false), Ok(Outcome::Unknown)),
            Fate::UnknownLate => {
                state.postpone(self.life, call.clone(), late());
                (Told::Unknown, Some(false), Ok(Outcome::Unknown))
            }
            Fate::Fails(kind) => (Told::Failed(kind), Some(false), Err(planned(kind))),
            Fate::Good | Fate::Death(true) | Fate::UnknownApplied => {
                let answer = work();
                let (told, applied) = seen(&answer);
                match fate {
                    Fate::Death(_) => (Told::Died, applied, Err(dead())),
                    Fate::UnknownApplied if applied == Some(true) => {
                        (Told::Unknown, applied, Ok(Outcome::Unknown))
                    }
                    _ => (told, applied, answer),
                }
            }
        };
        state.dead |= told == Told::Died;
        state.note(self.life, call, told, applied);
        answer
    }

    /// A read.
    fn read<T>(
        &self,
        call: Call,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.begin()?;
        let share = state.plan.unread;
        let result = match state.comes(share) {
            true => Err(planned(ErrorKind::Io)),
            false => work(),
        };
        let told = result
            .as_ref()
            .map_or_else(|error| Told::Failed(error.kind), |_| Told::Done);
        state.note(self.life, call, told, None);
        result
    }

    /// A read of bytes, one of whose bits may be turned round on the way.
    fn read_bytes(
        &self,
        call: Call,
        work: impl FnOnce() -> Result<bytes::Bytes, StoreError>,
    ) -> Result<bytes::Bytes, StoreError> {
        let bytes = self.read(call, work)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let share = state.plan.flipped;
        if bytes.is_empty() || !state.comes(share) {
            return Ok(bytes);
        }
        let bit = state.random.below(bytes.len() as u64 * 8);
        let mut bytes = Vec::from(bytes);
        if let Some(byte) = usize::try_from(bit / 8)
            .ok()
            .and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << (bit % 8);
        }
        Ok(bytes.into())
    }
}

impl State {
    fn note(&mut self, life: u32, call: Call, told: Told, applied: Option<bool>) {
        self.history.push(Operation {
            life,
            call,
            told,
            applied,
            late: false,
        });
    }

    fn comes(&mut self, share: u64) -> bool {
        share > 0 && self.random.below(1000) < share
    }

    fn fate(&mut self, conditional: bool) -> Fate {
        self.writes += 1;
        if self.plan.dies_at_write == Some(self.writes) {
            return Fate::Death(self.random.coin());
        }
        let plan = self.plan;
        if self.comes(plan.failed) {
            return Fate::Fails(ErrorKind::Io);
        }
        if self.comes(plan.full) {
            return Fate::Fails(ErrorKind::NoSpace);
        }
        match conditional {
            true if self.comes(plan.unknown_applied) => Fate::UnknownApplied,
            true if self.comes(plan.unknown_lost) => Fate::UnknownLost,
            true if self.comes(plan.unknown_late) => Fate::UnknownLate,
            _ => Fate::Good,
        }
    }
}

fn seen<T>(answer: &Result<Outcome<T>, StoreError>) -> (Told, Option<bool>) {
    match answer {
        Ok(Outcome::Mine) => (Told::Done, Some(true)),
        Ok(Outcome::Theirs(_)) => (Told::Theirs, Some(false)),
        Ok(Outcome::Unknown) => (Told::Unknown, None),
        Err(error) => (Told::Failed(error.kind), None),
    }
}

fn dead() -> StoreError {
    StoreError::new(ErrorKind::Io, "Cannot reach", "the store")
}

fn planned(kind: ErrorKind) -> StoreError {
    StoreError::new(kind, "Cannot do, as planned, at", "the store")
}
