//! Settings files of agent and broker: TOML and environment to typed values, errors with file and line.
