//! The newest five of something, in place.

/// Kafka's contract with `max.in.flight` of at most 5, and the lanes' too (`kafka.md` 3.3, 3.4).
pub(crate) const RING_ENTRIES: usize = 5;

/// The newest [`RING_ENTRIES`] items, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ring<T> {
    items: [T; RING_ENTRIES],
    len: usize,
}

impl<T: Copy + Default> Ring<T> {
    /// Adds an item; the oldest goes if there is no room.
    pub(crate) fn push(&mut self, item: T) {
        if self.len == RING_ENTRIES {
            self.items.rotate_left(1);
            self.len -= 1;
        }
        self.items[self.len] = item;
        self.len += 1;
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.items[..self.len]
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.as_slice().last()
    }
}

impl<T: Copy + Default> FromIterator<T> for Ring<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut ring = Self::default();
        items.into_iter().for_each(|item| ring.push(item));
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes() {
        let mut ring: Ring<u32> = (0..3).collect();
        assert_eq!((ring.as_slice(), ring.last()), (&[0, 1, 2][..], Some(&2)));
        (3..9).for_each(|item| ring.push(item));
        assert_eq!(ring.as_slice(), [4, 5, 6, 7, 8]);
        assert_eq!(Ring::<u32>::default().last(), None);
    }
}
