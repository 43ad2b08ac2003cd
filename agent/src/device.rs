//! The device's name: from the settings, the certificate, the user or the host, and whether
//! they agree.

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;

/// What may say who this device is. The broker believes the certificate, else the user.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// `device` of the settings.
    pub configured: Option<String>,
    /// Common name of the certificate in `uplink.cert`, with the file.
    pub certificate: Option<(String, PathBuf)>,
    /// `uplink.user`.
    pub user: Option<String>,
}

impl Names {
    /// Collects the names; reads the certificate file if there is one.
    pub fn collect(
        configured: Option<&str>,
        certificate: Option<&Path>,
        user: Option<&str>,
    ) -> Result<Self, DeviceError> {
        let certificate = match certificate {
            Some(file) => Some((common_name(file)?, file.to_owned())),
            None => None,
        };
        Ok(Self {
            configured: configured.map(str::to_owned),
            certificate,
            user: user.map(str::to_owned),
        })
    }

    /// The name to use: settings, else certificate, else user, else host name.
    pub fn device(&self) -> Result<String, DeviceError> {
        let name = self
            .configured
            .clone()
            .or_else(|| self.certificate.as_ref().map(|(name, _)| name.clone()))
            .or_else(|| self.user.clone())
            .map_or_else(host_name, Ok)?;
        if is_device_name(&name) {
            Ok(name)
        } else {
            Err(DeviceError::Name(name))
        }
    }

    /// What contradicts `device` (the name that the log was made with): the broker would take
    /// this device for another, so nothing may be sent.
    pub fn contradiction(&self, device: &str) -> Option<String> {
        if let Some((name, file)) = &self.certificate {
            if name != device {
                return Some(format!(
                    "This device is \"{device}\", but the certificate {} says \"{name}\"",
                    file.display()
                ));
            }
        } else if let Some(user) = &self.user
            && user != device
        {
            return Some(format!(
                "This device is \"{device}\", but uplink.user says \"{user}\""
            ));
        }
        match &self.configured {
            Some(name) if name != device => Some(format!(
                "This device is \"{device}\" by its log, but the settings say device = \"{name}\""
            )),
            _ => None,
        }
    }
}

/// Why the device's name cannot be told.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The certificate cannot be read.
    #[error("Certificate {}: {reason}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not `[A-Za-z0-9._:-]{1,128}`.
    #[error(
        "\"{0}\" cannot be a device name (letters, digits and . _ : - only, at most 128); set device"
    )]
    Name(String),
    /// No settings, no certificate, no user, and the host name cannot be read.
    #[error("The host name cannot be read ({0}); set device")]
    Host(String),
}

/// Whether `name` is `[A-Za-z0-9._:-]{1,128}`.
pub fn is_device_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
}

fn common_name(file: &Path) -> Result<String, DeviceError> {
    let bad = |reason: String| DeviceError::Certificate {
        file: file.to_owned(),
        reason,
    };
    let der = CertificateDer::from_pem_file(file).map_err(|e| bad(e.to_string()))?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&der).map_err(|e| bad(e.to_string()))?;
    certificate
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .map(str::to_owned)
        .ok_or_else(|| bad("has no common name, which is the device's name".to_owned()))
}

fn host_name() -> Result<String, DeviceError> {
    sysinfo::System::host_name().map_err(|e| DeviceError::Host(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(configured: Option<&str>, certificate: Option<&str>, user: Option<&str>) -> Names {
        Names {
            configured: configured.map(str::to_owned),
            certificate: certificate.map(|name| (name.to_owned(), PathBuf::from("c.pem"))),
            user: user.map(str::to_owned),
        }
    }

    #[test]
    fn settings_win_over_certificate_over_user() {
        assert_eq!(
            names(Some("a"), Some("b"), Some("c")).device().unwrap(),
            "a"
        );
        assert_eq!(names(None, Some("b"), Some("c")).device().unwrap(), "b");
        assert_eq!(names(None, None, Some("c")).device().unwrap(), "c");
        assert!(names(Some("a b"), None, None).device().is_err());
        assert!(names(Some(""), None, None).device().is_err());
        assert!(names(Some(&"x".repeat(129)), None, None).device().is_err());
    }

    #[test]
    fn whoever_says_otherwise_than_the_log_is_named() {
        assert_eq!(
            names(Some("a"), Some("a"), Some("x")).contradiction("a"),
            None
        );
        let said = names(None, Some("b"), None).contradiction("a").unwrap();
        assert!(said.contains("c.pem") && said.contains("\"b\""), "{said}");
        assert!(
            names(None, None, Some("b"))
                .contradiction("a")
                .unwrap()
                .contains("uplink.user")
        );
        assert!(
            names(Some("b"), None, None)
                .contradiction("a")
                .unwrap()
                .contains("settings")
        );
        assert_eq!(names(None, None, None).contradiction("a"), None);
    }
}
