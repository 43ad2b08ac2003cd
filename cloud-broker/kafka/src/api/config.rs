//! Configuration entries, as several APIs give them.

/// One configuration key and its effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The key.
    pub name: &'static str,
    /// The value that counts.
    pub value: String,
    /// Where the value comes from.
    pub source: Source,
    /// What the value is.
    pub kind: ConfigType,
    /// Can it not be changed?
    pub read_only: bool,
    /// What else would set the value, and what it is there, the nearest first.
    pub synonyms: Vec<Synonym>,
}

/// One of the places that a value can come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key there.
    pub name: &'static str,
    /// The value there.
    pub value: String,
    /// The place.
    pub source: Source,
}

/// Where a value comes from (`ConfigSource` in apache/kafka `DescribeConfigsResponse`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// Set for this topic.
    Topic = 1,
    /// Set in the broker's settings.
    StaticBroker = 4,
    /// Nobody has set it.
    Default = 5,
}

/// What a value is (`ConfigType` in apache/kafka `DescribeConfigsResponse`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// A number of 32 bits.
    Int = 3,
    /// A number of 64 bits.
    Long = 5,
    /// Texts with commas between them.
    List = 7,
}
