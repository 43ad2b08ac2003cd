//! Values with units: `"64MiB"`, `"10min"`, `"5%"`, `"forever"`, `"unlimited"`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A number of bytes, at most 2^63-1: `"64MiB"`, `"1GB"`, `"10kB"`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A length of time in whole milliseconds, at most 2^63-1 of them: `"7d"`, `"10min"`, `"1s 500ms"`,
/// `"0ms"`. A bare number is refused, because it names no unit; only 0 needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    ms: u64,
}

/// A share from 0 to 100, in whole thousandths: `"5%"`, `"0.5%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    thousandths: u32,
}

/// How long records are kept: a [`Span`], or `"forever"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// For this long after they arrived.
    Span(Span),
    /// Time alone deletes nothing.
    Forever,
}

/// How much is kept: [`Bytes`], or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// At most so many bytes.
    Bytes(Bytes),
    /// Size alone deletes nothing.
    Unlimited,
}

impl Bytes {
    /// `n` times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` times 1024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` times 1024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// For sizes of buffers; what this machine cannot address becomes its largest number.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// `s` seconds.
    pub const fn from_secs(s: u32) -> Self {
        Self {
            ms: s as u64 * 1000,
        }
    }

    /// In milliseconds.
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl Percent {
    /// `n` hundredths, at most 100.
    pub const fn new(n: u32) -> Self {
        let n = if n > 100 { 100 } else { n };
        Self {
            thousandths: n * 1000,
        }
    }

    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.thousandths) / 100_000;
        u64::try_from(part).unwrap_or(whole)
    }

    /// In whole hundredths, rounded up.
    pub fn rounded_up(self) -> u8 {
        u8::try_from(self.thousandths.div_ceil(1000)).unwrap_or(100)
    }
}

impl Retention {
    /// In milliseconds; nothing is for ever.
    pub fn ms(self) -> Option<u64> {
        match self {
            Self::Span(span) => Some(span.ms()),
            Self::Forever => None,
        }
    }
}

impl Quota {
    /// In bytes; nothing is unlimited.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.0),
            Self::Unlimited => None,
        }
    }
}

const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() <= NUMBER_MAX => Ok(Self(size.as_u64())),
            Ok(_) => Err(format!("\"{text}\" is too large")),
            Err(_) => Err(format!(
                "expected a size such as \"64MiB\", found \"{text}\""
            )),
        }
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text)
            .map_err(|_| format!("expected a time such as \"10min\", found \"{text}\""))?;
        if !duration.as_nanos().is_multiple_of(1_000_000) {
            return Err(format!("\"{text}\" is not a whole number of milliseconds"));
        }
        match u64::try_from(duration.as_millis()) {
            Ok(ms) if ms <= NUMBER_MAX => Ok(Self { ms }),
            Ok(_) | Err(_) => Err(format!("\"{text}\" is too large")),
        }
    }
}

impl std::str::FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a share such as \"5%\", found \"{text}\"");
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        match whole.checked_mul(1000).and_then(|w| w.checked_add(part)) {
            Some(thousandths) if thousandths <= 100_000 => Ok(Self { thousandths }),
            Some(_) | None => Err(format!("\"{text}\" is more than 100%")),
        }
    }
}

impl std::str::FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forever" => Ok(Self::Forever),
            _ => text
                .parse()
                .map(Self::Span)
                .map_err(|error: String| error.replace("\"10min\",", "\"7d\", or \"forever\",")),
        }
    }
}

impl std::str::FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unlimited" => Ok(Self::Unlimited),
            _ => text.parse().map(Self::Bytes).map_err(|error: String| {
                error.replace("\"64MiB\",", "\"64MiB\", or \"unlimited\",")
            }),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = |shift: &u32| self.0 != 0 && self.0.trailing_zeros() >= *shift;
        match units.iter().find(|(shift, _)| whole(shift)) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            0 => f.write_str("0ms"),
            _ => humantime::format_duration(self.duration()).fmt(f),
        }
    }
}

/// Reads a text with [`std::str::FromStr`], and a whole number with `from_number` (by default with
/// an error that asks for the text).
struct UnitVisitor<T> {
    expecting: &'static str,
    from_number: fn(u64) -> Option<T>,
}

impl<T: std::str::FromStr<Err = String>> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.from_number)(number)
            .ok_or_else(|| E::invalid_type(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_type(de::Unexpected::Signed(number), &self)),
        }
    }
}

macro_rules! deserialize_unit {
    ($type:ident, $expecting:literal, $from_number:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(UnitVisitor {
                    expecting: $expecting,
                    from_number: $from_number,
                })
            }
        }
    };
}

fn span_zero(number: u64) -> Option<Span> {
    (number == 0).then_some(Span { ms: 0 })
}

deserialize_unit!(Bytes, "a size such as \"64MiB\"", |n| {
    (n <= NUMBER_MAX).then_some(Bytes(n))
});
deserialize_unit!(Span, "a time such as \"10min\"", span_zero);
deserialize_unit!(Percent, "a share such as \"5%\"", |_| None);
deserialize_unit!(Retention, "a time such as \"7d\", or \"forever\"", |_| None);
deserialize_unit!(Quota, "a size such as \"64MiB\", or \"unlimited\"", |n| {
    (n <= NUMBER_MAX).then_some(Quota::Bytes(Bytes(n)))
});
