//! The errors of TLS: settings, files, and what was wrong with the other side.

use std::{borrow::Cow, error::Error as StdError, fmt};

use evenkeel_pool::BoxError;

/// TLS that could not be set up, by a failure that does not pass.
#[derive(Debug)]
pub(crate) struct TlsError {
    text: Cow<'static, str>,
    source: Option<BoxError>,
}

impl TlsError {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), source: None }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(feature = "rustls")]
mod of_rustls {
    use std::{error::Error as StdError, io};

    use rustls::{CertificateError, Error};

    use super::{BoxError, Cow, TlsError};

    impl TlsError {
        pub(crate) fn with_source(
            text: impl Into<Cow<'static, str>>,
            source: impl StdError + Send + Sync + 'static,
        ) -> Self {
            Self { text: text.into(), source: Some(Box::new(source)) }
        }

        /// The reason of a handshake that failed. A failure of the network stays one: it may pass.
        pub(crate) fn of_handshake(error: io::Error) -> BoxError {
            match error.downcast::<Error>() {
                Ok(error) => Box::new(Self::with_source(reason(&error), error)),
                Err(error) => Box::new(error),
            }
        }
    }

    fn reason(error: &Error) -> &'static str {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, UnknownIssuer,
        };
        match error {
            Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
                "the certificate of the server has expired"
            }
            Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
                "the certificate of the server is not valid yet"
            }
            Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
                "the certificate of the server is for another host"
            }
            Error::InvalidCertificate(UnknownIssuer) => {
                "the certificate of the server is not signed by a root certificate"
            }
            Error::InvalidCertificate(_) => "the certificate of the server is not valid",
            Error::AlertReceived(_) => "the server refuses the handshake",
            _ => "the handshake failed",
        }
    }
}
