//! Who may connect, and who that is.

mod certificate;

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;

pub use certificate::{Unreadable, common_name};

use crate::config::{Anonymous, Config};

/// The rules of `[auth]`. Every door asks it once for each connection, after the TLS handshake and
/// before it believes anything that the client says.
#[derive(Debug, Clone)]
pub struct Auth {
    anonymous: Anonymous,
}

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate's common name or the user's name; nobody else's word counts for it.
    pub name: Option<String>,
    /// How the client has shown it.
    pub kind: IdentityKind,
}

/// How a client has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    /// With a certificate of `tls.client_ca`.
    Certificate,
    /// With a password.
    User,
    /// Not at all, which `auth.anonymous` permits from where it comes.
    Anonymous,
}

/// Why a client is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It showed no certificate and may not be anonymous.
    #[error("Not authorized: a client certificate is needed from this address")]
    CertificateNeeded,
    /// Its certificate cannot be read.
    #[error("Not authorized: the client certificate cannot be read")]
    BadCertificate,
}

impl Auth {
    /// The rules that `config` states.
    pub fn new(config: &Config) -> Self {
        Self {
            anonymous: config.auth.anonymous,
        }
    }

    /// Decides about a connection from `peer` whose handshake has proved `certificate` (the first
    /// of [`crate::tls::peer_certificate`]; `None` without TLS or without one).
    ///
    /// # Errors
    /// [`Denied`]; the door answers as its protocol says, and ends the connection.
    pub fn admit(
        &self,
        peer: IpAddr,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Result<Identity, Denied> {
        if let Some(certificate) = certificate {
            let name = common_name(certificate).map_err(|_| Denied::BadCertificate)?;
            return Ok(Identity {
                name,
                kind: IdentityKind::Certificate,
            });
        }
        let permitted = match self.anonymous {
            Anonymous::Everywhere => true,
            // An IPv6 listener sees IPv4 clients as ::ffff:127.0.0.1.
            Anonymous::Loopback => peer.to_canonical().is_loopback(),
            Anonymous::Never => false,
        };
        if permitted {
            Ok(Identity::ANONYMOUS)
        } else {
            Err(Denied::CertificateNeeded)
        }
    }
}

impl Identity {
    /// A client that has shown nothing.
    pub const ANONYMOUS: Self = Self {
        name: None,
        kind: IdentityKind::Anonymous,
    };

    /// The device that a client with `client_id` is (interfaces: certificate, else user, else the
    /// client id up to `~`).
    pub fn device<'a>(&'a self, client_id: &'a str) -> &'a str {
        match &self.name {
            Some(name) => name,
            None => client_id.split('~').next().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(anonymous: Anonymous) -> Auth {
        Auth { anonymous }
    }

    fn admits(anonymous: Anonymous, peer: &str) -> bool {
        let peer = peer.parse().expect("an address");
        auth(anonymous).admit(peer, None) == Ok(Identity::ANONYMOUS)
    }

    #[test]
    fn without_a_certificate_the_address_decides() {
        for local in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(admits(Anonymous::Loopback, local), "{local}");
            assert!(admits(Anonymous::Everywhere, local), "{local}");
            assert!(!admits(Anonymous::Never, local), "{local}");
        }
        for remote in ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "0.0.0.0"] {
            assert!(!admits(Anonymous::Loopback, remote), "{remote}");
            assert!(admits(Anonymous::Everywhere, remote), "{remote}");
            assert!(!admits(Anonymous::Never, remote), "{remote}");
        }
    }

    #[test]
    fn a_certificate_names_the_client_wherever_it_comes_from() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CommonName, "gw-1");
        params.distinguished_name = name;
        let certificate = params.self_signed(&key).expect("a certificate");
        let peer = "10.0.0.1".parse().expect("an address");
        let identity = auth(Anonymous::Never).admit(peer, Some(certificate.der()));
        let identity = identity.expect("admitted");
        assert_eq!(identity.kind, IdentityKind::Certificate);
        assert_eq!(identity.device("other~0000"), "gw-1");
    }

    #[test]
    fn what_is_no_certificate_is_turned_away() {
        let peer = "127.0.0.1".parse().expect("an address");
        let certificate = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
        assert_eq!(
            auth(Anonymous::Everywhere).admit(peer, Some(&certificate)),
            Err(Denied::BadCertificate)
        );
    }

    #[test]
    fn an_anonymous_device_is_its_client_id_up_to_the_tilde() {
        assert_eq!(Identity::ANONYMOUS.device("gw-1~0123abcd"), "gw-1");
        assert_eq!(Identity::ANONYMOUS.device("gw-1"), "gw-1");
    }
}
