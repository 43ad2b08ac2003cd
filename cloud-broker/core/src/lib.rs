//! What the broker decides: offsets, duplicates, lanes, streams, topic filters; no I/O, no clock.
