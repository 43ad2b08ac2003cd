//! Values out of a fuzzer's bytes.

use bytes::Bytes;

/// What is left of the bytes; when nothing is, every value is the smallest.
#[derive(Debug)]
pub(super) struct Data<'a>(pub(super) &'a [u8]);

impl<'a> Data<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(super) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.array())
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    pub(super) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.array())
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        self.array()
    }

    /// Up to 255 bytes.
    pub(super) fn bytes(&mut self) -> Bytes {
        let length = self.byte();
        Bytes::copy_from_slice(self.take(length.into()))
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub(super) fn some<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.bool().then(|| one(self))
    }

    /// As many as the next byte says, as long as there are bytes for them.
    pub(super) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.byte();
        let mut list = Vec::new();
        while list.len() < count.into() && !self.is_empty() {
            list.push(one(self));
        }
        list
    }
}
