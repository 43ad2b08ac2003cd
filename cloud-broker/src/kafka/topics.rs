//! What the APIs that make and delete topics share.

use headwater_broker_core::catalog::SpecError;
use headwater_kafka::ErrorCode;

use crate::backend::Unavailable;

/// A declaration that cannot be.
pub(super) fn illegal(error: &SpecError) -> ErrorCode {
    match error {
        SpecError::Partitions => ErrorCode::INVALID_PARTITIONS,
        SpecError::Name | SpecError::Internal => ErrorCode::INVALID_TOPIC_EXCEPTION,
        SpecError::Retention => ErrorCode::INVALID_CONFIG,
        SpecError::Filter(_) | SpecError::Filters | SpecError::CompactByClient => {
            ErrorCode::INVALID_REQUEST
        }
    }
}

/// A code on which admin clients try again: with a fresh look at who decides about topics if this
/// broker is about to go, otherwise after a pause.
pub(super) fn unavailable(reason: Unavailable) -> ErrorCode {
    match reason {
        Unavailable::Failed | Unavailable::DiskFull => ErrorCode::KAFKA_STORAGE_ERROR,
        Unavailable::Stopped => ErrorCode::NOT_CONTROLLER,
    }
}
