//! Where the broker's log lives: Slots, Registers, Blobs, their formats and their local and faulty homes.
