//! Registers whose calls go wrong.

use bytes::Bytes;

use super::late::Write;
use super::{Call, Line};
use crate::error::StoreError;
use crate::traits::{Outcome, Registered, Registers, Version};

impl Registers for Line {
    fn create(&self, name: &str, value: &[u8]) -> Result<Outcome<Registered>, StoreError> {
        let (name, value) = (name.to_owned(), Bytes::copy_from_slice(value));
        let call = Call::Create {
            name: name.clone(),
            value: value.clone(),
        };
        self.conditional(
            call,
            || Write::Create(name.clone(), value.clone()),
            || self.inner.registers.create(&name, &value),
        )
    }

    fn read(&self, name: &str) -> Result<Option<Registered>, StoreError> {
        let call = Call::Read {
            name: name.to_owned(),
        };
        Self::read(self, call, || self.inner.registers.read(name))
    }

    fn cas(
        &self,
        name: &str,
        expected: &Version,
        value: &[u8],
    ) -> Result<Outcome<Registered>, StoreError> {
        let (name, value) = (name.to_owned(), Bytes::copy_from_slice(value));
        let call = Call::Cas {
            name: name.clone(),
            value: value.clone(),
        };
        self.conditional(
            call,
            || Write::Cas(name.clone(), expected.clone(), value.clone()),
            || self.inner.registers.cas(&name, expected, &value),
        )
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let call = Call::List {
            prefix: prefix.to_owned(),
        };
        Self::read(self, call, || self.inner.registers.list(prefix))
    }
}
