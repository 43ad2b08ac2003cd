//! Section `[listeners]`.

use std::str::FromStr;

use serde::Deserialize;

/// `HOST:PORT`; port 0 picks a free one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(String);

/// One address for each way in; `None` is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "Each field is the listener of its name")]
pub struct Listeners {
    pub mqtt: Option<Address>,
    pub mqtts: Option<Address>,
    pub ws: Option<Address>,
    pub wss: Option<Address>,
    pub kafka: Option<Address>,
    pub kafkas: Option<Address>,
    pub http: Option<Address>,
    pub https: Option<Address>,
}

impl Address {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected an address such as \"127.0.0.1:1883\", found \"{text}\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains(':') && !bracketed) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Listeners {
    /// Name, address and whether it speaks TLS, in the order of the ready line, closed ones too.
    pub fn all(&self) -> [(&'static str, &Option<Address>, bool); 8] {
        [
            ("mqtt", &self.mqtt, false),
            ("mqtts", &self.mqtts, true),
            ("ws", &self.ws, false),
            ("wss", &self.wss, true),
            ("kafka", &self.kafka, false),
            ("kafkas", &self.kafkas, true),
            ("http", &self.http, false),
            ("https", &self.https, true),
        ]
    }

    /// Where `flags` name any listener, only those open.
    pub(super) fn replace_by(&mut self, flags: &Self) {
        if flags.any() {
            *self = flags.clone();
        }
    }

    /// Opens the usual ones on this machine if none was named.
    pub(super) fn open_defaults(&mut self, with_tls: bool) {
        if self.any() {
            return;
        }
        let loopback = |port: u16| Some(Address(format!("127.0.0.1:{port}")));
        self.mqtt = loopback(1883);
        self.kafka = loopback(9092);
        self.http = loopback(8080);
        if with_tls {
            self.mqtts = loopback(8883);
            self.kafkas = loopback(9093);
            self.https = loopback(8443);
        }
    }

    fn any(&self) -> bool {
        self.all().iter().any(|(_, address, _)| address.is_some())
    }
}
