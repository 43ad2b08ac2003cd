//! Scenarios over real processes, and the harness they share.
