//! Settings for TLS that are found to be wrong before anything is sent.

use std::error::Error as _;

use evenkeel_postgres::{Database, Error, GetError, SslMode, TlsOptions};

async fn refused(pairs: &str) -> String {
    let builder = Database::builder_from_url(&format!("host=localhost user=app {pairs}")).unwrap();
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, Error::Get(GetError::Create(_))), "{pairs}: {error:?}");
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "no connection to the server", "{pairs}");
    source.source().unwrap().to_string()
}

#[cfg(feature = "rustls")]
#[tokio::test(start_paused = true)]
async fn settings_that_never_work_are_told_at_once() {
    let system = "may not be used with sslrootcert=system, which needs verify-full";
    let direct = "may not be used with sslnegotiation=direct, which needs require";
    for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
        let expected = format!("sslmode={mode} {system}");
        assert_eq!(refused(&format!("sslmode={mode} sslrootcert=system")).await, expected);
    }
    for mode in ["disable", "allow", "prefer"] {
        let expected = format!("sslmode={mode} {direct}");
        assert_eq!(refused(&format!("sslmode={mode} sslnegotiation=direct")).await, expected);
    }
    let expected = "sslmode=verify-ca needs a root certificate (sslrootcert)";
    assert_eq!(refused("sslmode=verify-ca").await, expected);
    let expected = "a client certificate (sslcert) needs its key (sslkey)";
    assert_eq!(refused("sslcert=x").await, expected);
    let expected = "the key (sslkey) of a client needs its certificate (sslcert)";
    assert_eq!(refused("sslkey=x").await, expected);
}

#[cfg(not(feature = "rustls"))]
#[tokio::test(start_paused = true)]
async fn what_needs_the_feature_says_so_at_once() {
    for mode in ["require", "verify-ca sslrootcert=x", "verify-full sslrootcert=system"] {
        let name = mode.split(' ').next().unwrap();
        let expected = format!("sslmode={name} needs the feature `rustls` of evenkeel-postgres");
        assert_eq!(refused(&format!("sslmode={mode}")).await, expected);
    }
}

#[test]
fn keys_and_passwords_are_not_shown() {
    let tls = TlsOptions::new(SslMode::VerifyFull)
        .root_certificates_file("/ca.pem")
        .client_certificate("the chain", "the secret key");
    let shown = format!("{tls:?}");
    assert_eq!(
        shown,
        r#"TlsOptions { mode: VerifyFull, roots: Some(Pem("/ca.pem")), certificate: Some(_), key: Some(_) }"#
    );
    let builder = Database::builder_from_url("postgres://u:hidden@h/d?sslmode=require").unwrap().tls(tls);
    let shown = format!("{builder:?}");
    assert!(!shown.contains("hidden") && !shown.contains("secret"), "{shown}");
}
