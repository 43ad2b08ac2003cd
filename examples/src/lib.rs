//! Examples: one file per idea.
