//! Certificates for tests.

use std::sync::LazyLock;

use rcgen::{
    CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    SignatureAlgorithm, date_time_ymd,
};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

/// The authority that tests trust, and one that they do not.
pub(crate) static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("trusted"));
pub(crate) static OTHER: LazyLock<Authority> = LazyLock::new(|| Authority::new("other"));

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Signs a certificate by an authority of its own, which comes with the certificate.
    pub(crate) fn sign_with_intermediate(&self, names: &[&str]) -> Signed {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "intermediate");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let Signed { certificate: leaf, key } =
            Authority { issuer: Issuer::new(params, key), certificate: certificate.clone() }.sign(names);
        Signed { certificate: format!("{leaf}{certificate}"), key }
    }

    /// Signs a certificate for these hosts and addresses.
    pub(crate) fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, &PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub(crate) fn sign_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Signed {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }

    /// Signs a certificate whose time is over.
    pub(crate) fn sign_expired(&self, names: &[&str]) -> Signed {
        self.sign_with(names, &PKCS_ECDSA_P256_SHA256, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    /// Signs a certificate with a common name and no other.
    pub(crate) fn sign_common_name(&self, name: &str) -> Signed {
        self.sign_with(&[], &PKCS_ECDSA_P256_SHA256, |params| {
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }
}

/// A certificate that signs itself, for one host.
pub(crate) fn self_signed(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Signed {
    let key = KeyPair::generate_for(algorithm).unwrap();
    Signed { certificate: params(names).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A certificate as the first recipe in the manual of PostgreSQL makes it: an authority with a common name, that signs
/// itself.
pub(crate) fn self_signed_authority(name: &str) -> Signed {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Signed { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A certificate of RSA, signed by itself.
pub(crate) fn self_signed_rsa(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Signed {
    self_signed_by(RSA_KEY, names, algorithm)
}

/// A certificate of Ed25519, signed by itself.
pub(crate) fn self_signed_ed25519(names: &[&str]) -> Signed {
    self_signed_by(ED25519_KEY, names, &PKCS_ED25519)
}

fn self_signed_by(key: &str, names: &[&str], algorithm: &'static SignatureAlgorithm) -> Signed {
    let pair = KeyPair::from_pem_and_sign_algo(key, algorithm).unwrap();
    Signed { certificate: params(names).self_signed(&pair).unwrap().pem(), key: key.to_owned() }
}

/// A certificate of version 1 for `localhost`, as the other recipe of the manual makes it with OpenSSL up to 3.1.
pub(crate) fn version_1() -> Signed {
    Signed { certificate: VERSION_1.to_owned(), key: RSA_KEY.to_owned() }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

const VERSION_1: &str = include_str!("pem/version-1.crt");

/// They protect nothing: keys for these tests. Making one of RSA takes seconds, and OpenSSL does not read those of
/// Ed25519 that ring makes.
const RSA_KEY: &str = include_str!("pem/rsa.key");
const ED25519_KEY: &str = include_str!("pem/ed25519.key");
