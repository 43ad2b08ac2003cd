//! Where a read goes on.

use headwater_broker_core::segments::Run;
use headwater_broker_core::tail_index::Indexed;

use crate::backend::read::StoredBatch;

/// Where batches are.
#[derive(Debug)]
pub(in crate::backend) enum Found {
    /// In memory.
    Recent(Vec<StoredBatch>),
    /// In a journal.
    Journal(Vec<Indexed>),
    /// In a segment.
    Segment(Run),
}

impl Found {
    /// Whether both are the same place.
    pub(in crate::backend) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Journal(one), Self::Journal(other)) => {
                one.first().map(|batch| batch.place) == other.first().map(|batch| batch.place)
            }
            (Self::Segment(one), Self::Segment(other)) => one.segment.name == other.segment.name,
            (Self::Recent(_) | Self::Journal(_) | Self::Segment(_), _) => false,
        }
    }

    /// Offset behind what is there; -1 if that is nothing.
    pub(in crate::backend) fn end(&self) -> i64 {
        match self {
            Self::Recent(batches) => batches.last().map_or(-1, |last| last.last_offset + 1),
            Self::Journal(batches) => batches.last().map_or(-1, Indexed::end_offset),
            Self::Segment(run) => run.end,
        }
    }
}

/// How many of these are taken: the first, and more while the sum stays within bounds.
pub(super) fn fitting(sizes: impl Iterator<Item = usize>, bytes_max: usize) -> usize {
    let mut left = bytes_max;
    let fits = |(at, size): &(usize, usize)| {
        let fits = *at == 0 || *size <= left;
        left = left.saturating_sub(*size);
        fits
    };
    sizes.enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_always_fits() {
        assert_eq!(fitting([].into_iter(), 10), 0);
        assert_eq!(fitting([50, 1].into_iter(), 10), 1);
        assert_eq!(fitting([4, 6, 1].into_iter(), 10), 2);
    }
}
