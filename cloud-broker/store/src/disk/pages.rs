//! Memory that begins at a page, which is all that writes past the system's cache take.

/// Alignment that suits every disk.
pub(crate) const PAGE_LEN: usize = 4096;

/// A buffer of whole pages that is filled from its start.
#[derive(Debug)]
pub(crate) struct Pages {
    /// One page more than is used, so that an aligned part of it is there. The system gives memory
    /// for what is touched only.
    memory: Vec<u8>,
    first: usize,
    filled: usize,
}

impl Pages {
    /// Room for `pages` pages.
    pub(crate) fn new(pages: usize) -> Self {
        let memory = vec![0; (pages + 1) * PAGE_LEN];
        let first = memory.as_ptr().align_offset(PAGE_LEN).min(PAGE_LEN);
        Self {
            memory,
            first,
            filled: 0,
        }
    }

    /// Takes as much of `bytes` as there is room for, and says how much that is.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        let from = self.first + self.filled;
        self.memory[from..from + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    /// Fills the last page up with zeros.
    pub(crate) fn pad(&mut self) {
        let end = self.filled.next_multiple_of(PAGE_LEN);
        self.memory[self.first + self.filled..self.first + end].fill(0);
        self.filled = end;
    }

    /// What it holds.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.memory[self.first..self.first + self.filled]
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.memory.len() - PAGE_LEN - self.filled
    }

    /// Forgets what it holds.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_fits_and_begins_at_a_page() {
        let mut pages = Pages::new(2);
        assert_eq!(pages.push(&[1; 5000]), 5000);
        assert_eq!(pages.push(&[2; 5000]), 2 * PAGE_LEN - 5000);
        assert_eq!(pages.push(&[3]), 0);
        assert!(pages.filled().as_ptr().cast::<[u64; 512]>().is_aligned());
        assert_eq!(pages.filled()[4999..5001], [1, 2]);
        pages.clear();
        pages.push(&[4]);
        pages.pad();
        assert_eq!(pages.filled().len(), PAGE_LEN);
        assert_eq!(pages.filled()[..2], [4, 0]);
    }
}
