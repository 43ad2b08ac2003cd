//! JSON registers: read by people at 3 a.m., so they are indented; each has `fmt`, `rev` and
//! `write_id`, and keeps the members it does not know.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;

/// Members that this version does not know, as they were.
pub type Rest = serde_json::Map<String, serde_json::Value>;

/// Longest JSON register that is read, bytes.
pub(super) const JSON_BYTES_MAX: usize = 64 << 10;

/// The version of the text; what is not 1 is refused before anything else is looked at.
const FORMAT: u64 = 1;

/// Indented JSON with a line's end.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let with_format = WithFormat { fmt: FORMAT, value };
    let mut text = serde_json::to_vec_pretty(&with_format)
        .expect("registers have string keys and no value that can fail");
    text.push(b'\n');
    text
}

/// The value in `bytes`, which errors call `what`.
pub(super) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, FormatError> {
    if bytes.len() > JSON_BYTES_MAX {
        let [found, max] = [bytes.len() as u64, JSON_BYTES_MAX as u64];
        return Err(FormatError::TooLarge { what, found, max });
    }
    let format: OnlyFormat =
        serde_json::from_slice(bytes).map_err(|_| FormatError::Magic { what })?;
    if format.fmt != FORMAT {
        return Err(FormatError::UnknownFormat {
            what,
            found: format.fmt,
            known: FORMAT,
        });
    }
    let with_format: WithFormat<T> =
        serde_json::from_slice(bytes).map_err(|_| FormatError::Value { what })?;
    Ok(with_format.value)
}

#[derive(Deserialize)]
struct OnlyFormat {
    fmt: u64,
}

#[derive(Serialize, Deserialize)]
struct WithFormat<T> {
    fmt: u64,
    #[serde(flatten)]
    value: T,
}

#[cfg(test)]
mod tests {
    use super::super::cluster::Cluster;
    use super::super::head::{Head, State};
    use super::super::member::Member;
    use super::*;
    use crate::ids::{Incarnation, WriteId};

    const WRITE: WriteId = WriteId([7; 16]);

    fn head() -> Head {
        Head {
            rev: 3,
            state: State::Sealed,
            low: 2,
            end: Some(9),
            ..Head::new(WRITE)
        }
    }

    fn member() -> Member {
        let inc = Incarnation([1; 16]);
        let host = "a \"host\"".to_owned();
        Member {
            rev: 1,
            write_id: WRITE,
            inc,
            node: 2,
            host,
            commit: 4,
            rest: Rest::new(),
        }
    }

    #[test]
    fn registers_are_read_back() {
        assert_eq!(Head::decode(&head().encode()), Ok(head()));
        assert_eq!(
            Head::decode(&Head::new(WRITE).encode()),
            Ok(Head::new(WRITE))
        );
        let cluster = Cluster::new(WRITE, [9; 16], 64);
        assert_eq!(Cluster::decode(&cluster.encode()), Ok(cluster));
        assert_eq!(Member::decode(&member().encode()), Ok(member()));
    }

    #[test]
    fn members_of_a_later_version_are_written_again() {
        let text = String::from_utf8(head().encode()).unwrap();
        let later = text.replace("\"low\"", "\"later\": [1, {\"x\": null}],\n  \"low\"");
        let read = Head::decode(later.as_bytes()).unwrap();
        assert_eq!(read.rest["later"], serde_json::json!([1, {"x": null}]));
        assert_eq!(Head::decode(&read.encode()), Ok(read));
    }

    #[test]
    fn a_later_format_is_refused_before_anything_else_is_read() {
        let later = Head::decode(br#"{"fmt": 2, "rev": "text now"}"#);
        assert!(matches!(
            later,
            Err(FormatError::UnknownFormat {
                found: 2,
                known: 1,
                ..
            })
        ));
        let mut cluster = Cluster::new(WRITE, [9; 16], 64);
        cluster.min_reader = 2;
        let later = Cluster::decode(&cluster.encode());
        assert!(matches!(
            later,
            Err(FormatError::UnknownFormat { found: 2, .. })
        ));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let wrong = [
            Head {
                state: State::Open,
                ..head()
            },
            Head {
                end: None,
                ..head()
            },
            Head { low: 10, ..head() },
        ];
        for head in wrong {
            assert!(Head::decode(&head.encode()).is_err());
        }
        for shards in [0, u32::MAX] {
            assert!(Cluster::decode(&Cluster::new(WRITE, [9; 16], shards).encode()).is_err());
        }
        let long = vec![b' '; JSON_BYTES_MAX + 1];
        assert!(matches!(
            Head::decode(&long),
            Err(FormatError::TooLarge { .. })
        ));
    }

    #[test]
    fn text_with_any_byte_changed_or_cut_is_survived() {
        for text in [head().encode(), member().encode()] {
            for at in 0..text.len() {
                for to in [0, b'"', b'{', b'9', b'-', 0xff] {
                    let mut changed = text.clone();
                    changed[at] = to;
                    let _ = Head::decode(&changed);
                    let _ = Member::decode(&changed);
                    let _ = Cluster::decode(&changed);
                }
                let _ = Head::decode(&text[..at]);
            }
        }
        let deep = format!("{{\"fmt\": 1, \"x\": {}", "[".repeat(60_000));
        assert!(Head::decode(deep.as_bytes()).is_err());
    }
}
