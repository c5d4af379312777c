//! The settings of rustls for a connection, from certificates and keys in PEM.

use std::{
    borrow::Cow,
    fs,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use rustls_native_certs::load_native_certs;

use super::{
    Pem, Roots, SslMode, TlsOptions,
    error::TlsError,
    verifier::{Trust, Verifier},
};

/// The root certificates of the system, read when they are needed first.
pub(super) type SystemRoots = OnceLock<Arc<RootCertStore>>;

/// Reads the certificates and keys of the options, and sets TLS up.
pub(super) fn client_config(options: &TlsOptions, system: &SystemRoots) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier {
        trust: trust(options, system)?,
        checks_host: options.mode == SslMode::VerifyFull,
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::with_source("TLS cannot be set up", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| TlsError::with_source("the client certificate cannot be used", error))?,
        _ => builder.with_no_client_auth(),
    };
    // PostgreSQL resumes no session.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn trust(options: &TlsOptions, system: &SystemRoots) -> Result<Option<Trust>, TlsError> {
    if options.mode < SslMode::Require {
        return Ok(None);
    }
    match &options.roots {
        Some(Roots::Pem(pem)) => {
            let own = certificates(pem)?;
            let mut roots = RootCertStore::empty();
            if roots.add_parsable_certificates(own.iter().cloned()).0 == 0 {
                return Err(TlsError::new(format!("{pem} has no root certificate that can be read")));
            }
            Ok(Some(Trust { roots: Arc::new(roots), own }))
        }
        None if options.mode < SslMode::VerifyCa => Ok(None),
        Some(Roots::System) | None => Ok(Some(Trust { roots: system_roots(system)?, own: Vec::new() })),
    }
}

fn system_roots(system: &SystemRoots) -> Result<Arc<RootCertStore>, TlsError> {
    if let Some(roots) = system.get() {
        return Ok(Arc::clone(roots));
    }
    let loaded = load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(loaded.certs).0 == 0 {
        const NONE: &str = "the system has no root certificates";
        return Err(match loaded.errors.into_iter().next() {
            Some(error) => TlsError::with_source(NONE, error),
            None => TlsError::new(NONE),
        });
    }
    Ok(Arc::clone(system.get_or_init(|| Arc::new(roots))))
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(pem)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError::new(format!("{pem} has no certificate")))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::with_source(format!("the certificates of {pem} cannot be read"), error)),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(pem)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::new(format!("{pem} has no private key, or an encrypted one")),
        error => TlsError::with_source(format!("the private key of {pem} cannot be read"), error),
    })
}

fn read(pem: &Pem) -> Result<Cow<'_, [u8]>, TlsError> {
    match pem {
        Pem::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Pem::File(path) => fs::read(path)
            .map(Cow::Owned)
            .map_err(|error| TlsError::with_source(format!("{pem} cannot be read"), error)),
    }
}
