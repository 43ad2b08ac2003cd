//! What the agent decides: batches, lanes, the uplink window, what may be dropped; no I/O, no clock.
