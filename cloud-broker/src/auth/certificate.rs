//! What a certificate says about its holder.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Certificate cannot be read")]
pub struct Unreadable;

/// The subject's common name; `None` if it has none, or an empty one.
///
/// # Errors
/// [`Unreadable`] if the bytes are no certificate, the name is not text, or there are several.
pub fn common_name(certificate: &CertificateDer<'_>) -> Result<Option<String>, Unreadable> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Unreadable)?;
    let mut names = parsed.subject().iter_common_name();
    let Some(name) = names.next() else {
        return Ok(None);
    };
    // Of two names, one might be checked by the authority and the other one used by us.
    if names.next().is_some() {
        return Err(Unreadable);
    }
    let name = name.as_str().map_err(|_| Unreadable)?;
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}
