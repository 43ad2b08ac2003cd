//! Why the link is down, in plain words.

use std::error::Error;
use std::path::Path;

use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use rumqttc::v5::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::TlsFiles;

/// Why an attempt to connect failed.
pub(super) fn explain(error: &ConnectionError, files: &TlsFiles) -> String {
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_words(tls, files);
    }
    match error {
        ConnectionError::Timeout(_) => "No answer within 10 s".to_owned(),
        ConnectionError::ConnectionRefused(code) => refusal_words(*code).to_owned(),
        ConnectionError::NotConnAck(_) => {
            "The broker began with something else than CONNACK".to_owned()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            let hint = if files.cert.is_some() {
                ""
            } else {
                " (does it want a certificate?)"
            };
            format!("The broker closed the connection before it took it{hint}")
        }
        ConnectionError::MqttState(_)
        | ConnectionError::Tls(_)
        | ConnectionError::Io(_)
        | ConnectionError::RequestsDone => io_words(error),
    }
}

/// Why a connection that was up has ended.
pub(super) fn explain_end(error: &ConnectionError) -> String {
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "The broker closed the connection".to_owned()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "The broker did not answer a ping".to_owned()
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => match reason_string {
            Some(text) => format!("The broker ended the connection: {text} ({reason_code:?})"),
            None => format!("The broker ended the connection: {reason_code:?}"),
        },
        ConnectionError::MqttState(_)
        | ConnectionError::Timeout(_)
        | ConnectionError::Tls(_)
        | ConnectionError::Io(_)
        | ConnectionError::ConnectionRefused(_)
        | ConnectionError::NotConnAck(_)
        | ConnectionError::RequestsDone => io_words(error),
    }
}

fn io_words(error: &ConnectionError) -> String {
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_words(tls, &TlsFiles::default());
    }
    match find::<std::io::Error>(error) {
        Some(io) => match io.kind() {
            std::io::ErrorKind::ConnectionRefused => "Nobody listens there".to_owned(),
            std::io::ErrorKind::ConnectionReset => "The broker reset the connection".to_owned(),
            std::io::ErrorKind::UnexpectedEof => "The broker closed the connection".to_owned(),
            _ => format!("The connection failed: {io}"),
        },
        None => format!("The connection failed: {error}"),
    }
}

fn refusal_words(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::BadUserNamePassword => "The broker refuses user name or password",
        ConnectReturnCode::NotAuthorized => {
            "The broker refuses this device: not authorized (certificate or user missing?)"
        }
        ConnectReturnCode::ServerBusy | ConnectReturnCode::ServerUnavailable => {
            "The broker is busy or not ready"
        }
        ConnectReturnCode::QuotaExceeded => "The broker has as many connections as it takes",
        ConnectReturnCode::Banned => "The broker has banned this device",
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
            "The broker refuses the device's name"
        }
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => "The broker does not speak MQTT 5",
        ConnectReturnCode::Success
        | ConnectReturnCode::ServiceUnavailable
        | ConnectReturnCode::UnspecifiedError
        | ConnectReturnCode::MalformedPacket
        | ConnectReturnCode::ProtocolError
        | ConnectReturnCode::ImplementationSpecificError
        | ConnectReturnCode::BadAuthenticationMethod
        | ConnectReturnCode::TopicNameInvalid
        | ConnectReturnCode::PacketTooLarge
        | ConnectReturnCode::PayloadFormatInvalid
        | ConnectReturnCode::RetainNotSupported
        | ConnectReturnCode::QoSNotSupported
        | ConnectReturnCode::UseAnotherServer
        | ConnectReturnCode::ServerMoved
        | ConnectReturnCode::ConnectionRateExceeded => "The broker refuses the connection",
    }
}

fn tls_words(error: &rustls::Error, files: &TlsFiles) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => broker_certificate_words(reason),
        rustls::Error::AlertReceived(alert) => alert_words(*alert, files),
        rustls::Error::InvalidMessage(_) => "The broker does not speak TLS at this port".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

fn broker_certificate_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("The broker's certificate has expired{}", clock_hint())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("The broker's certificate is not valid yet{}", clock_hint())
        }
        // The second is an authority of the same name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "The broker's certificate is not from the authority in uplink.ca".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("The broker's certificate is for another name: {reason}")
        }
        other => format!("The broker's certificate is not good: {other}"),
    }
}

fn alert_words(alert: AlertDescription, files: &TlsFiles) -> String {
    let own = validity_words(files.cert.as_deref());
    match alert {
        AlertDescription::CertificateExpired => {
            let own = own.unwrap_or_else(|| "this device's certificate has expired".to_owned());
            format!("The broker refuses the certificate: {own}{}", clock_hint())
        }
        // The second: it knows one of the same name with another key.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "The broker does not know the authority of this device's certificate (uplink.cert)"
                .to_owned()
        }
        AlertDescription::CertificateRequired => {
            "The broker wants a device certificate (uplink.cert)".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => match own {
            Some(own) => format!("The broker refuses the certificate: {own}{}", clock_hint()),
            None => "The broker refuses this device's certificate (uplink.cert)".to_owned(),
        },
        other => format!("The broker ended TLS: {other:?}"),
    }
}

/// What is wrong with the device's own certificate now, if it is its time.
pub(super) fn validity_words(cert: Option<&Path>) -> Option<String> {
    let der = CertificateDer::from_pem_file(cert?).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let now = crate::clock::now_ms() / 1000;
    let validity = certificate.validity();
    if now > validity.not_after.timestamp() {
        Some(format!(
            "this device's certificate expired on {}",
            validity.not_after
        ))
    } else if now < validity.not_before.timestamp() {
        Some(format!(
            "this device's certificate is not valid before {}",
            validity.not_before
        ))
    } else {
        None
    }
}

fn clock_hint() -> String {
    let seconds = u64::try_from(crate::clock::now_ms() / 1000).unwrap_or(0);
    let day = seconds / 86_400;
    format!(
        " (if not, check this device's clock, which says {})",
        date(day)
    )
}

/// The date of a day since 1970-01-01 (civil-from-days, H. Hinnant).
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

/// The first error of this type in the chain, those that `io::Error` wraps included.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // What these two wrap they do not give as their source.
        let io = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        current = match (io, error.downcast_ref::<StateError>()) {
            (Some(inner), _) => Some(inner),
            (None, Some(StateError::Deserialization(inner))) => Some(inner),
            (None, _) => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(error: rustls::Error) -> ConnectionError {
        ConnectionError::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn certificates_are_explained() {
        let files = TlsFiles::default();
        let words = |error| explain(&wrapped(error), &files);
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert!(words(expired).starts_with("The broker's certificate has expired (if not, check"));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(words(unknown).contains("uplink.ca"));
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(words(alert).contains("uplink.cert"));
    }

    #[test]
    fn the_simple_ones_are_simple() {
        let refused = ConnectionError::Io(std::io::ErrorKind::ConnectionRefused.into());
        assert_eq!(
            explain(&refused, &TlsFiles::default()),
            "Nobody listens there"
        );
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(20_781), "2026-11-24");
    }
}
