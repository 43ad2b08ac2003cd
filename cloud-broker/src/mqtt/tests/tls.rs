use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_mqtt::{Connect, Packet, Qos, Reason, Version};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::PATIENCE;
use super::harness::{Broker, Client, connect, publish};
use crate::cert;
use crate::config::TlsConfig;
use crate::tls::Tls;

struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        cert::create_ca(dir.path()).expect("an authority");
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn tls(&self) -> Arc<Tls> {
        cert::create_server(self.0.path(), &["localhost".to_owned()]).expect("a certificate");
        let files = TlsConfig {
            cert: self.file("server.pem"),
            key: self.file("server.key"),
            client_ca: Some(self.file("ca.pem")),
            require_client_cert: false,
        };
        Tls::open(&files).expect("good files")
    }

    /// A client that trusts this authority and shows a certificate of `signer` for `device`.
    fn client(&self, broker: &Broker, device: Option<(&Self, &str)>) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate(&self.file("ca.pem")))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_root_certificates(roots);
        let config = match device {
            None => builder.with_no_client_auth(),
            Some((signer, device)) => {
                cert::create_device(signer.0.path(), device).expect("a certificate");
                let chain = vec![certificate(&signer.file(&format!("{device}.pem")))];
                let key = PrivateKeyDer::from_pem_file(signer.file(&format!("{device}.key")));
                builder
                    .with_client_auth_cert(chain, key.expect("a key"))
                    .expect("a pair")
            }
        };
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(broker.address).expect("connects");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client::over(Box::new(StreamOwned::new(session, socket)), Version::V5)
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

const STRICT: &str = "[auth]\nanonymous = \"never\"\n";

#[test]
fn a_certificate_names_the_device() {
    let authority = Authority::new();
    let broker = Broker::start_with(STRICT, 1, Some(authority.tls()));
    let mut client = authority.client(&broker, Some((&authority, "gw-7")));
    let client_id = "whatever~0123abcd";
    client.connect(&Connect {
        client_id,
        ..connect(Version::V5)
    });
    assert_eq!(client.publish("$hw/1/status", b"{}"), Reason::SUCCESS);
    assert_eq!(broker.door.backend.devices()[0].device, "gw-7");
}

#[test]
fn large_and_many_messages_pass_both_ways() {
    let authority = Authority::new();
    let broker = Broker::start_with("", 1, Some(authority.tls()));
    let mut client = authority.client(&broker, None);
    client.connect(&connect(Version::V5));
    client.subscribe("a", Qos::AtMostOnce);
    for size in [0, 1, 5000, 70_000, 500_000, 1 << 20] {
        let payload: Vec<u8> = (0..size).map(|i: u32| i.to_be_bytes()[3]).collect();
        client.send(&Packet::Publish(publish("a", &payload)));
        let came = [client.expect(), client.expect()];
        let same = came.iter().find_map(|received| match received.packet() {
            Packet::Publish(publish) => Some(publish.payload == payload),
            _ => None,
        });
        assert_eq!(same, Some(true), "{size} bytes");
    }
}

#[test]
fn no_certificate_and_a_wrong_one_are_turned_away() {
    let authority = Authority::new();
    let broker = Broker::start_with(STRICT, 1, Some(authority.tls()));
    let mut stranger = authority.client(&broker, None);
    assert_eq!(
        stranger.try_connect(&connect(Version::V5)),
        Reason::NOT_AUTHORIZED
    );
    let other = Authority::new();
    let mut forger = authority.client(&broker, Some((&other, "gw-7")));
    forger.send_lossy(&Packet::Connect(connect(Version::V5)));
    assert!(forger.next().is_none());
}

#[test]
fn a_client_without_tls_costs_only_its_own_connection() {
    let authority = Authority::new();
    let broker = Broker::start_with("", 1, Some(authority.tls()));
    let mut plain = Client::open(broker.address, Version::V5);
    plain.send(&Packet::Connect(connect(Version::V5)));
    plain.expect_alert();
    let mut client = authority.client(&broker, None);
    client.connect(&connect(Version::V5));
}
