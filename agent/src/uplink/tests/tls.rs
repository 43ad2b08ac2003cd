//! TLS: what works, and what is said when it does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::broker::Broker;
use super::*;
use crate::uplink::address::Candidate;

/// An authority, and what it signs, as files in a folder.
struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// From when to when a certificate is valid: years.
type Years = (i32, i32);
const NOW: Years = (2020, 2096);
const PAST: Years = (2019, 2021);
const FUTURE: Years = (2095, 2096);

impl Authority {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            dir,
            issuer: Issuer::new(params, key),
        }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Signs a certificate for `name`: certificate and key.
    fn sign(&self, name: &str, years: Years) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end| self.dir.path().join(format!("{name}-{}.{end}", years.0));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.ca()).unwrap())
            .unwrap();
        roots
    }
}

/// A broker with this certificate that wants one of `clients`, if given.
async fn broker((cert, key): &(PathBuf, PathBuf), clients: Option<&Authority>) -> Broker {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let certificates = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    Broker::start_tls(builder.with_single_cert(certificates, key).unwrap()).await
}

fn tls_options(broker: &Broker, ca: &Path, own: Option<(PathBuf, PathBuf)>) -> Options {
    let mut options = options(&format!("mqtts://localhost:{}", broker.port()));
    let (cert, key) = own.unzip();
    options.files = TlsFiles {
        ca: Some(ca.to_owned()),
        cert,
        key,
    };
    options
}

/// What the status would say of an attempt.
async fn said(options: &Options, address: Option<&str>) -> String {
    let candidate = Candidate {
        url: options.urls[0].clone(),
        address: address.map(|address| address.parse().unwrap()),
    };
    match client::connect(options, &candidate).await {
        Ok(_connected) => "connected".to_owned(),
        Err(words) => words,
    }
}

#[tokio::test]
async fn a_device_certificate_connects_by_name_and_by_address() {
    let authority = Authority::new("ours");
    let server = authority.sign("localhost", NOW);
    let broker = broker(&server, Some(&authority)).await;
    let options = tls_options(&broker, &authority.ca(), Some(authority.sign("gw-1", NOW)));
    assert_eq!(said(&options, None).await, "connected");
    assert_eq!(said(&options, Some("127.0.0.1")).await, "connected");
}

#[tokio::test]
async fn the_brokers_certificate_is_explained() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    for (certificate, ca, words) in [
        (
            authority.sign("localhost", NOW),
            &stranger,
            "not from the authority in uplink.ca",
        ),
        (
            authority.sign("localhost", PAST),
            &authority,
            "has expired (if not, check this device's clock",
        ),
        (
            authority.sign("localhost", FUTURE),
            &authority,
            "is not valid yet (if not, check",
        ),
        (
            authority.sign("elsewhere", NOW),
            &authority,
            "is for another name",
        ),
    ] {
        let broker = broker(&certificate, None).await;
        let options = tls_options(&broker, &ca.ca(), None);
        let said = said(&options, None).await;
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn the_devices_certificate_is_explained() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let server = authority.sign("localhost", NOW);
    let broker = broker(&server, Some(&authority)).await;
    for (own, words) in [
        (None, "wants a device certificate (uplink.cert)"),
        (
            Some(stranger.sign("gw-1", NOW)),
            "does not know the authority",
        ),
        (
            Some(authority.sign("gw-1", PAST)),
            "this device's certificate expired on",
        ),
    ] {
        let options = tls_options(&broker, &authority.ca(), own);
        let said = said(&options, None).await;
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let authority = Authority::new("ours");
    let server = authority.sign("localhost", NOW);
    let mut files = TlsFiles {
        ca: Some(server.1.clone()),
        cert: None,
        key: None,
    };
    assert!(
        check_tls(&files)
            .unwrap_err()
            .to_string()
            .starts_with("uplink.ca ")
    );
    files = TlsFiles {
        ca: None,
        cert: Some(server.0.clone()),
        key: Some(server.0),
    };
    assert!(
        check_tls(&files)
            .unwrap_err()
            .to_string()
            .starts_with("uplink.key ")
    );
}
