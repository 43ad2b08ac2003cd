//! Development certificates: an authority of one's own, and what it signs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use headwater_wire::uplink;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::Offset};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// How long an authority is valid, years.
pub const CA_YEARS: i32 = 10;
/// How long a server's and a device's certificate is valid, years.
pub const LEAF_YEARS: i32 = 2;

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// An authority is there already; a new one would cut off all that it has signed.
    #[error("{} exists already", .0.display())]
    CaExists(PathBuf),
    /// No host was named, or one is not a host's name or address.
    #[error("\"{0}\" is not a host name or address")]
    Host(String),
    /// Not a device's name, or one whose files would replace the authority's or the server's.
    #[error("\"{0}\" cannot be a device's name")]
    Device(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The authority's files are not what `create_ca` writes, or the system gives no randomness.
    #[error("Cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Writes `ca.pem` and `ca.key` into `dir`, which is made if need be.
///
/// # Errors
/// [`CertError`], also if there is an authority already.
pub fn create_ca(dir: &Path) -> Result<(), CertError> {
    let (cert_path, key_path) = paths(dir, "ca");
    for path in [&cert_path, &key_path] {
        if path.exists() {
            return Err(CertError::CaExists(path.clone()));
        }
    }
    let mut params = params("headwater development CA", CA_YEARS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_pair(dir, "ca", &certificate.pem(), &key)
}

/// Writes `server.pem` and `server.key`, signed by the authority in `dir`, for a server that is
/// reached under each of `hosts` (names or addresses; the first is the common name).
///
/// # Errors
/// [`CertError`].
pub fn create_server(dir: &Path, hosts: &[String]) -> Result<(), CertError> {
    let first = hosts
        .first()
        .ok_or_else(|| CertError::Host(String::new()))?;
    let mut params = params(first, LEAF_YEARS);
    params.subject_alt_names = hosts.iter().map(|h| host(h)).collect::<Result<_, _>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(dir, "server", params)
}

/// Writes `NAME.pem` and `NAME.key`, signed by the authority in `dir`, for the device `name`.
///
/// # Errors
/// [`CertError`].
pub fn create_device(dir: &Path, name: &str) -> Result<(), CertError> {
    if uplink::check_device(name).is_err() || ["ca", "server"].contains(&name) {
        return Err(CertError::Device(name.to_owned()));
    }
    let mut params = params(name, LEAF_YEARS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(dir, name, params)
}

fn sign(dir: &Path, name: &str, mut params: CertificateParams) -> Result<(), CertError> {
    let (ca_cert, ca_key) = paths(dir, "ca");
    let ca_key = KeyPair::from_pem(&read(&ca_key)?)?;
    let issuer = Issuer::from_ca_cert_pem(&read(&ca_cert)?, ca_key)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    write_pair(dir, name, &certificate.pem(), &key)
}

/// Valid since yesterday, because the clocks of devices are often slow.
fn params(common_name: &str, years: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let today = Offset::UTC.to_datetime(Timestamp::now()).date();
    let day = |date: Date| {
        let month = u8::try_from(date.month()).unwrap_or(1);
        let day = u8::try_from(date.day()).unwrap_or(1);
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(years.years()));
    params
}

fn host(host: &str) -> Result<SanType, CertError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || CertError::Host(host.to_owned());
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-*".contains(&byte);
    if host.is_empty() || !host.bytes().all(legal) {
        return Err(wrong());
    }
    Ok(SanType::DnsName(host.try_into().map_err(|_| wrong())?))
}

fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (
        dir.join(format!("{name}.pem")),
        dir.join(format!("{name}.key")),
    )
}

fn read(path: &Path) -> Result<String, CertError> {
    fs::read_to_string(path).map_err(|source| CertError::File {
        path: path.to_owned(),
        source,
    })
}

/// The key first: a certificate without its key is of no use, a key without certificate does no
/// harm.
fn write_pair(dir: &Path, name: &str, cert: &str, key: &KeyPair) -> Result<(), CertError> {
    let (cert_path, key_path) = paths(dir, name);
    fs::create_dir_all(dir).map_err(|source| CertError::File {
        path: dir.to_owned(),
        source,
    })?;
    write(&key_path, &key.serialize_pem(), 0o600)?;
    write(&cert_path, cert, 0o644)
}

/// Replaces the file as a whole, so that a reload never sees half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let replace = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    replace().map_err(|source| CertError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::auth::common_name;
    use crate::config::TlsConfig;
    use crate::tls::Tls;

    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    #[test]
    fn an_authority_signs_a_server_and_devices() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path();
        create_ca(dir).expect("an authority");
        create_server(dir, &["localhost".into(), "127.0.0.1".into(), "::1".into()])
            .expect("a server");
        create_device(dir, "gw-1").expect("a device");
        for name in ["ca", "server", "gw-1"] {
            let (cert, key) = paths(dir, name);
            let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode();
            assert_eq!(mode(&key) & 0o777, 0o600, "{name}");
            assert_eq!(mode(&cert) & 0o777, 0o644, "{name}");
        }
        let cert = CertificateDer::from_pem_file(dir.join("gw-1.pem")).expect("a certificate");
        assert_eq!(common_name(&cert), Ok(Some("gw-1".into())));
        Tls::open(&TlsConfig {
            cert: dir.join("server.pem"),
            key: dir.join("server.key"),
            client_ca: Some(dir.join("ca.pem")),
            require_client_cert: false,
        })
        .expect("usable files");
    }

    #[test]
    fn an_authority_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        create_ca(dir.path()).expect("an authority");
        assert!(matches!(create_ca(dir.path()), Err(CertError::CaExists(_))));
        fs::remove_file(dir.path().join("ca.pem")).expect("removed");
        assert!(matches!(create_ca(dir.path()), Err(CertError::CaExists(_))));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        create_ca(dir.path()).expect("an authority");
        for name in ["", "ca", "server", "a/b", "../x", "a b"] {
            let made = create_device(dir.path(), name);
            assert!(matches!(made, Err(CertError::Device(_))), "{name}");
        }
        for name in ["", "a/b", "a b", "é"] {
            let made = create_server(dir.path(), &[name.to_owned()]);
            assert!(matches!(made, Err(CertError::Host(_))), "{name}");
        }
        let elsewhere = tempfile::tempdir().expect("a directory");
        let made = create_device(elsewhere.path(), "gw-1");
        assert!(matches!(made, Err(CertError::File { .. })));
    }
}
