//! From when and until when certificates are valid.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::time::ASN1Time;

use super::Findings;
use crate::config::UplinkSettings;

/// A certificate that expires within this is told of, seconds.
const SOON_S: i64 = 30 * 24 * 3600;

/// Looks at the certificates in `uplink.cert` and `uplink.ca`.
pub(super) fn look(uplink: &UplinkSettings, found: &mut Findings) {
    let now_s = crate::clock::now_ms() / 1_000;
    let files = [("uplink.cert", &uplink.cert), ("uplink.ca", &uplink.ca)];
    for (key, file) in files {
        // What cannot be read was told by whoever has to read it.
        for der in file.iter().flat_map(|file| certificates(file)) {
            let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else {
                continue;
            };
            let validity = certificate.validity();
            let what = format!("{key} (\"{}\")", certificate.subject());
            match verdict(now_s, validity.not_before, validity.not_after) {
                Verdict::Valid => {}
                Verdict::Soon(text) => found.warnings.push(format!("{what} {text}")),
                Verdict::Bad(text) => found.errors.push(format!("{what} {text}")),
            }
        }
    }
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_file_iter(file);
    all.map_or_else(|_| Vec::new(), |all| all.filter_map(Result::ok).collect())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Valid,
    Soon(String),
    Bad(String),
}

pub(super) fn verdict(now_s: i64, from: ASN1Time, until: ASN1Time) -> Verdict {
    if now_s < from.timestamp() {
        return Verdict::Bad(format!(
            "is not valid before {from}, by this device's clock"
        ));
    }
    match until.timestamp() - now_s {
        ..0 => Verdict::Bad(format!("expired on {until}, by this device's clock")),
        0..SOON_S => Verdict::Soon(format!("expires on {until}")),
        _ => Verdict::Valid,
    }
}
