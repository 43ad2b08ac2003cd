//! `mqtt://host:port` and `mqtts://host:port`.

use std::fmt;

use thiserror::Error;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Name or address, without brackets.
    pub host: String,
    /// Port, by default 1883 or 8883.
    pub port: u16,
}

/// How the broker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
}

/// Why a text is no address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{url}\" is no broker address, it should look like mqtts://broker:8883 ({reason})")]
pub struct UrlError {
    url: String,
    reason: &'static str,
}

impl Url {
    /// Parses an address. A name, an IPv4 address or an IPv6 address in brackets; nothing may
    /// follow the port but one `/`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let bad = |reason| UrlError {
            url: text.to_owned(),
            reason,
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("no scheme"))?;
        let scheme = match scheme {
            "mqtt" => Scheme::Mqtt,
            "mqtts" => Scheme::Mqtts,
            _ => return Err(bad("the scheme must be mqtt or mqtts")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest).ok_or_else(|| bad("bad brackets"))?;
        let port = match port {
            Some(port) => port
                .parse()
                .ok()
                .filter(|&port| port > 0)
                .ok_or_else(|| bad("bad port"))?,
            None => scheme.port_default(),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:%".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(bad("bad host name"));
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

impl Scheme {
    /// The port of an address that names none.
    pub fn port_default(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

fn split_port(rest: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after {
            "" => Some((host, None)),
            after => after.strip_prefix(':').map(|port| (host, Some(port))),
        };
    }
    match rest.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((rest, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = |text: &str| Url::parse(text).map(|url| (url.scheme, url.host, url.port));
        assert_eq!(url("mqtts://b"), Ok((Scheme::Mqtts, "b".into(), 8883)));
        assert_eq!(
            url("mqtt://10.0.0.1:99/"),
            Ok((Scheme::Mqtt, "10.0.0.1".into(), 99))
        );
        assert_eq!(
            url("mqtts://[::1]:99"),
            Ok((Scheme::Mqtts, "::1".into(), 99))
        );
        assert_eq!(
            Url::parse("mqtts://[::1]").unwrap().to_string(),
            "mqtts://[::1]:8883"
        );
    }

    #[test]
    fn mistakes() {
        for text in [
            "broker",
            "http://b",
            "mqtt://",
            "mqtt://b:0",
            "mqtt://b:x",
            "mqtt://::1",
            "mqtt://a b",
            "mqtt://b/x",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
