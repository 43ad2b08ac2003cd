//! Where the broker is, and how it shows that it is the right one.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;
use hyper::Uri;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::super::Failure;
use crate::tls;

/// Flags of every command that asks a broker.
#[derive(Debug, ClapArgs)]
pub(in crate::commands) struct Address {
    /// Address of the broker's HTTP listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// With https: certificate of the authority that signed the broker's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With https: certificate to show to the broker
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert: Option<PathBuf>,
    /// With https: key of that certificate
    #[arg(
        long = "key-file",
        id = "key_file",
        value_name = "FILE",
        requires = "cert"
    )]
    key: Option<PathBuf>,
}

/// A broker's address.
#[derive(Debug)]
pub(super) struct Target {
    url: String,
    host: String,
    /// Host and port, as sockets take it.
    pub(super) address: (String, u16),
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Target {
    pub(super) fn new(args: &Address) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format_args!(
                "--url {} {why}; it is http://HOST:PORT or https://HOST:PORT",
                args.url
            ))
        };
        let url: Uri = args.url.parse().map_err(|_| wrong("is no address"))?;
        let (with_tls, port) = match url.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(wrong("is neither http nor https")),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(wrong("has more than host and port"));
        }
        let authority = url.authority().ok_or_else(|| wrong("has no host"))?;
        let name = authority.host();
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let tls = match with_tls {
            true => {
                let name = ServerName::try_from(name.to_owned());
                Some((config(args)?, name.map_err(|_| wrong("has no host name"))?))
            }
            false => None,
        };
        Ok(Self {
            url: args.url.trim_end_matches('/').to_owned(),
            host: authority.as_str().to_owned(),
            address: (name.to_owned(), authority.port_u16().unwrap_or(port)),
            tls,
        })
    }

    /// As in the request's head.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Nobody takes the connection.
    pub(super) fn unreachable(&self, error: impl Display) -> Failure {
        Failure::failed(format_args!(
            "Cannot connect to {}: {error}. Does the broker run, with its HTTP listener there? \
             Name another with --url",
            self.url
        ))
    }

    /// The connection has ended before the answer.
    pub(super) fn lost(&self, error: impl Display) -> Failure {
        Failure::failed(format_args!(
            "No answer from {}: {error}. Is that the broker's HTTP listener?",
            self.url
        ))
    }

    /// Somebody else answers.
    pub(super) fn stranger(&self) -> Failure {
        Failure::failed(format_args!(
            "{} does not answer as a headwater broker does",
            self.url
        ))
    }
}

fn config(args: &Address) -> Result<Arc<ClientConfig>, Failure> {
    let Some(ca) = &args.ca else {
        return Err(Failure::usage(
            "https needs --ca FILE, the certificate of the authority that signed the broker's",
        ));
    };
    let pair = args.cert.as_deref().zip(args.key.as_deref());
    tls::client_config(ca, pair).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, String> {
        let args = Address {
            url: url.to_owned(),
            ca: None,
            cert: None,
            key: None,
        };
        Target::new(&args).map_err(|failure| failure.message)
    }

    #[test]
    fn addresses() {
        for (url, host, port) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080),
            ("http://broker/", "broker", 80),
            ("http://[::1]:8080", "::1", 8080),
        ] {
            let target = target(url).expect("an address");
            assert_eq!(target.address, (host.to_owned(), port));
        }
        for url in [
            "127.0.0.1:8080",
            "mqtt://x:1883",
            "http://x/api",
            "http://x?y",
            "",
            "http:// x",
        ] {
            let message = target(url).expect_err("no address");
            assert!(message.contains("http://HOST:PORT"), "{message}");
        }
        let message = target("https://x").expect_err("no authority");
        assert!(message.contains("--ca"), "{message}");
    }
}
