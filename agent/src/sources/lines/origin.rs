//! `from = "stdin" | "file:PATH" | "unix:PATH" | "tcp:ADDR"`.

use std::path::PathBuf;

use thiserror::Error;

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Standard input, to its end.
    Stdin,
    /// A file, followed across rotations.
    File(PathBuf),
    /// A Unix socket that this process makes.
    Unix(PathBuf),
    /// An address that this process listens on.
    Tcp(String),
}

/// Why a `from` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OriginError {
    /// None of the four.
    #[error("\"{0}\" is none of stdin, file:PATH, unix:PATH, tcp:HOST:PORT")]
    Kind(String),
    /// Nothing behind the colon.
    #[error("\"{0}\" names nothing")]
    Empty(String),
    /// An address without a port.
    #[error("\"{0}\" is no HOST:PORT")]
    Address(String),
}

impl Origin {
    /// Parses the setting.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "stdin" {
            return Ok(Self::Stdin);
        }
        let unknown = || OriginError::Kind(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        if rest.is_empty() {
            return Err(OriginError::Empty(text.to_owned()));
        }
        match kind {
            "file" => Ok(Self::File(rest.into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => {
                let port = rest
                    .rsplit_once(':')
                    .and_then(|(_, port)| port.parse::<u16>().ok());
                port.map(|_| Self::Tcp(rest.to_owned()))
                    .ok_or_else(|| OriginError::Address(rest.to_owned()))
            }
            _ => Err(unknown()),
        }
    }

    /// What `{name}` is in the topic: one level.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Tcp(_) => "tcp".to_owned(),
            Self::File(path) | Self::Unix(path) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                crate::sources::template::level(&name.to_string_lossy())
            }
        }
    }

    /// The path of a file or socket, to be resolved.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) | Self::Unix(path) => Some(path),
            Self::Stdin | Self::Tcp(_) => None,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_kinds() {
        let parse = |text| Origin::parse(text).map(|from| (from.to_string(), from.name()));
        for (text, name) in [
            ("stdin", "stdin"),
            ("file:/var/log/a+b.log", "a-b.log"),
            ("unix:/run/lines.sock", "lines.sock"),
            ("tcp:[::1]:5140", "tcp"),
        ] {
            assert_eq!(parse(text), Ok((text.to_owned(), name.to_owned())));
        }
        assert_eq!(parse("fil:/x"), Err(OriginError::Kind("fil:/x".into())));
        assert_eq!(parse("file:"), Err(OriginError::Empty("file:".into())));
        assert_eq!(parse("tcp:host"), Err(OriginError::Address("host".into())));
        assert_eq!(parse(""), Err(OriginError::Kind(String::new())));
    }
}
