//! TLS as `sslmode` asks for it.
//!
//! # How it works
//!
//! [`TlsOptions`] says what is asked for. The feature `rustls` adds a connector that does it: it reads the certificates for
//! each connection, so that files may be replaced at any time, and verifies the server by rules of its own
//! (`verifier.rs`), since libpq's modes ask for less, and sometimes accept more, than a browser. Which attempts a mode
//! makes, with TLS and without it, is up to `connect/encryption.rs`, with any connector.

#[cfg(feature = "rustls")]
mod client_config;
#[cfg(feature = "rustls")]
mod common_name;
#[cfg(feature = "rustls")]
pub(crate) mod connector;
pub(crate) mod error;
#[cfg(feature = "rustls")]
mod verifier;

use std::{fmt, path::PathBuf};

use tokio_postgres::config;

use self::error::TlsError;

/// The use of TLS, as libpq's `sslmode`.
///
/// # Examples
///
/// ```
/// use evenkeel_postgres::SslMode;
///
/// assert!(SslMode::VerifyFull > SslMode::Require);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// Without TLS, and with it if the server refuses that.
    Allow,
    /// With TLS, and without it if the server has none or refuses it. Nobody is kept from listening: it protects from
    /// nothing but accidents.
    Prefer,
    /// With TLS. The certificate of the server is verified as by `VerifyCa` if root certificates are set, and else it may be
    /// any.
    Require,
    /// With TLS, to a server whose certificate is signed by one of the root certificates, for any host.
    VerifyCa,
    /// With TLS, to a server whose certificate is signed by one of the root certificates, or else by one that the system
    /// trusts, and valid for the host of the address.
    VerifyFull,
}

/// TLS beyond the `sslmode` of a configuration; for [`Builder::tls`](crate::Builder::tls).
///
/// The files are read again for each connection, so that they can be replaced. A file that cannot be read, or a setting
/// that cannot be used, is an error of the connection, at once.
///
/// # Examples
///
/// ```
/// use evenkeel_postgres::{SslMode, TlsOptions};
///
/// let tls = TlsOptions::new(SslMode::VerifyFull)
///     .root_certificates_file("/etc/app/ca.pem")
///     .client_certificate_files("/etc/app/client.pem", "/etc/app/client.key");
/// # drop(tls);
/// ```
#[derive(Clone)]
pub struct TlsOptions {
    pub(crate) mode: SslMode,
    pub(crate) roots: Option<Roots>,
    pub(crate) certificate: Option<Pem>,
    pub(crate) key: Option<Pem>,
}

/// The certificates that sign those of servers.
#[derive(Clone, Debug)]
#[cfg_attr(not(any(feature = "rustls", test)), expect(dead_code, reason = "only the connector reads them"))]
pub(crate) enum Roots {
    System,
    Pem(Pem),
}

/// Certificates or a key, in PEM.
#[derive(Clone)]
#[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only the connector reads them"))]
pub(crate) enum Pem {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl TlsOptions {
    /// Returns the options for a mode, without certificates.
    #[must_use]
    pub const fn new(mode: SslMode) -> Self {
        Self { mode, roots: None, certificate: None, key: None }
    }

    /// Sets the certificates that sign those of servers, in PEM. A server whose very certificate is among them is trusted
    /// as well.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(Roots::Pem(Pem::Bytes(pem.into())));
        self
    }

    /// Sets the file with the certificates that sign those of servers, as `sslrootcert` does.
    #[must_use]
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(Roots::Pem(Pem::File(path.into())));
        self
    }

    /// Trusts the certificates that the system trusts, as `sslrootcert=system` does; for [`SslMode::VerifyFull`] alone, where
    /// it is the default. They are read once.
    ///
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` in the environment take their place.
    #[must_use]
    pub fn system_root_certificates(mut self) -> Self {
        self.roots = Some(Roots::System);
        self
    }

    /// Sets the certificate that the client shows, followed by those that it is signed by, and its private key, both in PEM.
    #[must_use]
    pub fn client_certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        (self.certificate, self.key) = (Some(Pem::Bytes(chain.into())), Some(Pem::Bytes(key.into())));
        self
    }

    /// Sets the files with the certificate that the client shows, and with its private key, as `sslcert` and `sslkey` do.
    #[must_use]
    pub fn client_certificate_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        (self.certificate, self.key) = (Some(Pem::File(chain.into())), Some(Pem::File(key.into())));
        self
    }

    /// Finds settings that can never work together.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        let Self { mode, roots, certificate, key } = self;
        if cfg!(not(feature = "rustls")) && *mode >= SslMode::Require {
            return Err(TlsError::new(format!(
                "sslmode={mode} needs the feature `rustls` of evenkeel-postgres"
            )));
        }
        if matches!(roots, Some(Roots::System)) && *mode != SslMode::VerifyFull {
            return Err(TlsError::new(format!(
                "sslmode={mode} may not be used with sslrootcert=system, which needs verify-full"
            )));
        }
        if *mode == SslMode::VerifyCa && roots.is_none() {
            return Err(TlsError::new("sslmode=verify-ca needs a root certificate (sslrootcert)"));
        }
        match (certificate, key) {
            (Some(_), None) => Err(TlsError::new("a client certificate (sslcert) needs its key (sslkey)")),
            (None, Some(_)) => {
                Err(TlsError::new("the key (sslkey) of a client needs its certificate (sslcert)"))
            }
            _ => Ok(()),
        }
    }
}

impl SslMode {
    /// Reads a value of `sslmode`.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.to_string() == value)
    }

    /// The nearest mode of the client, which knows half of them.
    pub(crate) const fn of_client(self) -> config::SslMode {
        match self {
            Self::Disable => config::SslMode::Disable,
            Self::Allow | Self::Prefer => config::SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => config::SslMode::Require,
        }
    }
}

impl From<config::SslMode> for SslMode {
    fn from(mode: config::SslMode) -> Self {
        match mode {
            config::SslMode::Disable => Self::Disable,
            config::SslMode::Prefer => Self::Prefer,
            // A mode that is added later must not be weakened.
            _ => Self::Require,
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("mode", &self.mode)
            .field("roots", &self.roots)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish()
    }
}

/// The bytes may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("_"),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("the given PEM"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
