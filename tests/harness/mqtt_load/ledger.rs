//! What one subscriber has got of one publisher.

use std::ops::{AddAssign, Range};

/// What was wrong with the deliveries of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Never came, or could not be read.
    pub lost: usize,
    /// Came more than once.
    pub duplicated: usize,
    /// Came behind a later one; also acknowledgements out of turn.
    pub reordered: usize,
}

impl AddAssign for Books {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How often each number came.
    came: Vec<u8>,
    /// One more than the highest number that came.
    next: usize,
    reordered: usize,
}

impl Ledger {
    pub(super) fn note(&mut self, number: usize) {
        if self.came.len() <= number {
            self.came.resize(number + 1, 0);
        }
        let is_new = self.came[number] == 0;
        self.came[number] = self.came[number].saturating_add(1);
        self.reordered += usize::from(is_new && number < self.next);
        self.next = self.next.max(number + 1);
    }

    /// How many of these numbers came, and what was wrong. What is out of order counts from the
    /// beginning.
    pub(super) fn judge(&self, numbers: Range<usize>) -> (usize, Books) {
        let times = |number| self.came.get(number).copied().unwrap_or(0);
        let came = numbers.clone().filter(|number| times(*number) > 0).count();
        let again = numbers.clone().map(|n| times(n).saturating_sub(1));
        let books = Books {
            lost: numbers.len() - came,
            duplicated: again.map(usize::from).sum(),
            reordered: self.reordered,
        };
        (came, books)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wrong_goes_unseen() {
        let mut ledger = Ledger::default();
        for number in [0, 1, 3, 2, 3, 6] {
            ledger.note(number);
        }
        let wrong = Books {
            lost: 3,
            duplicated: 1,
            reordered: 1,
        };
        assert_eq!(ledger.judge(0..8), (5, wrong));
    }
}
