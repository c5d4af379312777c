//! The host of a certificate without alternative names: its common name.
//!
//! libpq accepts it, and the manual of PostgreSQL makes certificates of this kind; rustls looks at alternative names alone.

use rustls::pki_types::{CertificateDer, ServerName};
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Whether the certificate has no alternative name of the host's kind, and a common name that is the host's.
pub(super) fn is_for(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else { return false };
    let certificate = certificate.tbs_certificate();
    let is_same_kind = |name: &GeneralName| match host {
        ServerName::IpAddress(_) => matches!(name, GeneralName::IpAddress(_)),
        _ => matches!(name, GeneralName::DnsName(_)),
    };
    match certificate.get_extension::<SubjectAltName>() {
        Ok(Some((_, names))) if names.0.iter().any(is_same_kind) => return false,
        Ok(_) => {}
        Err(_) => return false,
    }
    match certificate.subject().common_name() {
        Ok(Some(name)) => matches(&name.value(), &host.to_str(), matches!(host, ServerName::DnsName(_))),
        _ => false,
    }
}

/// Whether the pattern is the host, or has a star in place of its first label.
fn matches(pattern: &str, host: &str, may_have_star: bool) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((_, of_host))) if may_have_star => {
            // A star for all hosts of a top-level domain is none.
            domain.contains('.') && domain.eq_ignore_ascii_case(of_host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, host, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("db.example.com", "db.example.org", false),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com.evil.org", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("d*.example.com", "db.example.com", false),
        ] {
            assert_eq!(matches(pattern, host, true), expected, "{pattern} {host}");
        }
        assert!(matches("10.0.0.1", "10.0.0.1", false));
        assert!(!matches("*.0.0.1", "10.0.0.1", false));
    }
}
