use std::fs;
use std::io;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::cert;

fn authority(dir: &Path) -> TlsConfig {
    cert::create_ca(dir).expect("an authority");
    cert::create_server(dir, &["localhost".into()]).expect("a server");
    cert::create_device(dir, "gw-1").expect("a device");
    TlsConfig {
        cert: dir.join("server.pem"),
        key: dir.join("server.key"),
        client_ca: Some(dir.join("ca.pem")),
        require_client_cert: false,
    }
}

/// A client that trusts the authority in `ca`, and has the certificate of `device` from there.
fn client(ca: &Path, device: Option<(&Path, &str)>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&ca.join("ca.pem")).expect("an authority") {
        roots.add(certificate).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match device {
        None => builder.with_no_client_auth(),
        Some((dir, name)) => {
            let chain = certificates(&dir.join(format!("{name}.pem"))).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key")));
            builder
                .with_client_auth_cert(chain, key.expect("a key"))
                .expect("a pair")
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// The name that the server sees, once both sides have spoken.
async fn meet(tls: &Tls, connector: TlsConnector) -> io::Result<Option<String>> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let server = async {
        let mut stream = tls.acceptor().accept(near).await?;
        stream.write_all(b"x").await?;
        let certificate = peer_certificate(stream.get_ref().1);
        let name = certificate.and_then(|c| crate::auth::common_name(c).ok().flatten());
        Ok::<_, io::Error>(name)
    };
    let client = async {
        let host = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(host, far).await?;
        stream.read_exact(&mut [0]).await?;
        Ok::<_, io::Error>(())
    };
    let (name, met) = tokio::join!(server, client);
    met?;
    name
}

#[tokio::test]
async fn a_client_may_show_a_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::open(&authority(dir.path())).expect("files");
    let named = client(dir.path(), Some((dir.path(), "gw-1")));
    assert_eq!(
        meet(&tls, named).await.expect("met").as_deref(),
        Some("gw-1")
    );
    assert_eq!(
        meet(&tls, client(dir.path(), None)).await.expect("met"),
        None
    );
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a directory"), theirs.expect("a directory"));
    let tls = Tls::open(&authority(ours.path())).expect("files");
    authority(theirs.path());
    let stranger = client(ours.path(), Some((theirs.path(), "gw-1")));
    assert!(meet(&tls, stranger).await.is_err());
}

#[tokio::test]
async fn a_certificate_can_be_required() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = TlsConfig {
        require_client_cert: true,
        ..authority(dir.path())
    };
    let tls = Tls::open(&files).expect("files");
    assert!(meet(&tls, client(dir.path(), None)).await.is_err());
    assert!(
        meet(&tls, client(dir.path(), Some((dir.path(), "gw-1"))))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn reloaded_certificates_are_used_and_bad_ones_are_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::open(&authority(dir.path())).expect("files");
    cert::create_server(dir.path(), &["localhost".into(), "other".into()]).expect("a server");
    let before = tls.current.load_full();
    tls.reload().expect("files");
    assert!(!Arc::ptr_eq(&before, &tls.current.load_full()));
    fs::write(dir.path().join("server.pem"), "nothing").expect("written");
    assert!(matches!(tls.reload(), Err(TlsError::File { .. })));
    assert!(meet(&tls, client(dir.path(), None)).await.is_ok());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = authority(dir.path());
    let missing = TlsConfig {
        cert: dir.path().join("none.pem"),
        ..files.clone()
    };
    let error = Tls::open(&missing).expect_err("no file").to_string();
    assert!(error.contains("none.pem"), "{error}");
    let mixed = TlsConfig {
        key: dir.path().join("gw-1.key"),
        ..files
    };
    assert!(matches!(Tls::open(&mixed), Err(TlsError::Pair { .. })));
}
