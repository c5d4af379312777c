//! Encryption: the attempts that `sslmode` makes at one address, one after the other.

use tokio_postgres::{
    Config,
    config::{SslMode as Attempt, SslNegotiation},
};

use super::{
    Address,
    error::ConnectReason,
    link::{ConnectLink, LinkState},
};
use crate::tls::{SslMode, TlsOptions, error::TlsError};

/// How links are made, and with which encryption.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub(crate) mode: SslMode,
    pub(crate) connect_link: ConnectLink,
    /// Whether the links can have TLS.
    pub(crate) has_tls: bool,
    /// The options of the links, unless the connector is the caller's.
    pub(crate) options: Option<TlsOptions>,
}

impl Encryption {
    /// Finds settings that can never work.
    pub(crate) fn check(&self, config: &Config) -> Result<(), TlsError> {
        let Some(options) = &self.options else { return Ok(()) };
        options.check()?;
        if config.get_ssl_negotiation() == SslNegotiation::Direct && self.mode < SslMode::Require {
            let mode = self.mode;
            return Err(TlsError::new(format!(
                "sslmode={mode} may not be used with sslnegotiation=direct, which needs require"
            )));
        }
        Ok(())
    }

    /// Whether the certificate of the server is verified for the name of its host, or for the address in its place.
    pub(crate) fn needs_host(&self) -> bool {
        self.mode == SslMode::VerifyFull
    }

    /// The attempts at an address. A later one is made if the server refuses the encryption of the one before.
    pub(crate) fn attempts(&self, address: &Address) -> &'static [Attempt] {
        match (address, self.mode) {
            // TLS is not for sockets of the same machine: there PostgreSQL has none, and libpq asks for none.
            (Address::Unix(..), _) | (_, SslMode::Disable) => &[Attempt::Disable],
            (_, SslMode::Allow | SslMode::Prefer) if !self.has_tls => &[Attempt::Disable],
            (_, SslMode::Allow) => &[Attempt::Disable, Attempt::Require],
            (_, SslMode::Prefer) => &[Attempt::Prefer, Attempt::Disable],
            (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Attempt::Require],
        }
    }
}

/// Whether the server may well accept another encryption than this attempt had, which failed for this reason.
pub(crate) fn is_refused(attempt: Attempt, link: &LinkState, reason: &ConnectReason) -> bool {
    if attempt == Attempt::Disable {
        return reason.is_refusal() || reason.is_hang_up();
    }
    // A server without TLS has been asked without it already.
    link.is_handshake_failed() || (link.is_encrypted() && reason.is_refusal())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn attempts(mode: SslMode, has_tls: bool, address: &Address) -> &'static [Attempt] {
        let connect_link: ConnectLink = Arc::new(|_, _| Box::pin(std::future::pending()));
        Encryption { mode, connect_link, has_tls, options: None }.attempts(address)
    }

    #[test]
    fn a_mode_makes_one_attempt_or_two() {
        let tcp = Address::Tcp([127, 0, 0, 1].into(), 5432);
        let unix = Address::Unix("/run".into(), 5432);
        for (mode, with, without) in [
            (SslMode::Disable, &[Attempt::Disable][..], &[Attempt::Disable][..]),
            (SslMode::Allow, &[Attempt::Disable, Attempt::Require], &[Attempt::Disable]),
            (SslMode::Prefer, &[Attempt::Prefer, Attempt::Disable], &[Attempt::Disable]),
            (SslMode::Require, &[Attempt::Require], &[Attempt::Require]),
            (SslMode::VerifyCa, &[Attempt::Require], &[Attempt::Require]),
            (SslMode::VerifyFull, &[Attempt::Require], &[Attempt::Require]),
        ] {
            assert_eq!(attempts(mode, true, &tcp), with, "{mode}");
            assert_eq!(attempts(mode, false, &tcp), without, "{mode}");
            assert_eq!(attempts(mode, true, &unix), [Attempt::Disable], "{mode}");
        }
    }
}
