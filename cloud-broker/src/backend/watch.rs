//! Waking those who wait for new records.

/// Tells of commits to some partitions.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// Resolves at the next commit to any of the partitions, or at once if there was one since
    /// the watch was made or last resolved.
    pub async fn changed(&self) {
        todo!()
    }
}
