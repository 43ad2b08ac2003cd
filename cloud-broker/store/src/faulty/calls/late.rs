//! Writes that land after their caller was told that nobody knows.

use bytes::Bytes;

use super::super::history::{Call, Operation, Told};
use super::{State, seen};
use crate::traits::{Slot, Store, Version};

/// Calls after which such a write has landed, at most.
const CALLS_MAX: u64 = 60;

/// A write on its way.
#[derive(Debug)]
pub(super) struct Late {
    /// It lands before this call.
    due: u64,
    /// Who asked.
    life: u32,
    call: Call,
    write: Write,
}

/// What it does.
#[derive(Debug)]
pub(super) enum Write {
    Put(Slot, Bytes),
    Create(String, Bytes),
    Cas(String, Version, Bytes),
}

impl State {
    pub(super) fn postpone(&mut self, life: u32, call: Call, write: Write) {
        let due = self.calls + 1 + self.random.below(CALLS_MAX);
        self.late.push(Late {
            due,
            life,
            call,
            write,
        });
    }

    /// Those whose time has come land, in the order in which they were asked.
    pub(super) fn land(&mut self, inner: &Store) {
        let calls = self.calls;
        let due: Vec<Late> = self.late.extract_if(.., |late| late.due <= calls).collect();
        for Late {
            life, call, write, ..
        } in due
        {
            let applied = match write {
                Write::Put(slot, frame) => seen(&inner.slots.put_absent(slot, &[&frame])).1,
                Write::Create(name, value) => seen(&inner.registers.create(&name, &value)).1,
                Write::Cas(name, expected, value) => {
                    seen(&inner.registers.cas(&name, &expected, &value)).1
                }
            };
            self.history.push(Operation {
                life,
                call,
                told: Told::Nothing,
                applied,
                late: true,
            });
        }
    }
}
