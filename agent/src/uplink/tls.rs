//! The TLS side of a connection: authorities, device certificate, and the name to check.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use thiserror::Error;

use super::TlsFiles;

/// Why no connection can be set up with these files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of its kind.
    #[error("{key} {file}: {reason}")]
    File {
        /// The key of the settings.
        key: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The certificate and its key do not fit.
    #[error("uplink.cert and uplink.key cannot be used: {0}")]
    Pair(rustls::Error),
    /// The broker's name cannot be checked.
    #[error("\"{0}\" cannot be checked against a certificate")]
    Name(String),
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Checks the files without connecting.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn check(files: &TlsFiles) -> Result<(), TlsError> {
    config(files, "localhost", false).map(|_config| ())
}

/// The configuration for a connection to `host`. With `by_address` the connection is made to one
/// of the host's addresses, and the certificate is checked for `host` all the same.
pub(super) fn config(
    files: &TlsFiles,
    host: &str,
    by_address: bool,
) -> Result<Arc<ClientConfig>, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(files.ca.as_deref())?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = if by_address {
        let verifier = NamedVerifier::new(roots, provider, host)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(roots)
    };
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates("uplink.cert", cert)?, private_key(key)?)
            .map_err(TlsError::Pair)?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else { return Ok(roots) };
    for certificate in certificates("uplink.ca", file)? {
        roots
            .add(certificate)
            .map_err(|error| bad_file("uplink.ca", file, error))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| bad_file(key, file, error))?;
    let all: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| bad_file(key, file, error))?;
    if all.is_empty() {
        Err(bad_file(key, file, "no certificate in it"))
    } else {
        Ok(all)
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| bad_file("uplink.key", file, error))
}

fn bad_file(key: &'static str, file: &Path, reason: impl ToString) -> TlsError {
    TlsError::File {
        key,
        file: file.display().to_string(),
        reason: reason.to_string(),
    }
}

/// Checks the broker's certificate for a fixed name, whatever address was dialled.
#[derive(Debug)]
struct NamedVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl NamedVerifier {
    fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        host: &str,
    ) -> Result<Self, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        Ok(Self { inner, name })
    }
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
