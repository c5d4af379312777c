//! TLS, as `sslmode` asks for it, by servers of its own.

use std::time::Duration;

use evenkeel_postgres::{ConnectError, Database, Error, GetError, Prepared, SslMode, TlsOptions};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PKCS_RSA_SHA512};

use crate::{
    certificates::{
        OTHER, Signed, TRUSTED, self_signed, self_signed_authority, self_signed_ed25519, self_signed_rsa,
        version_1,
    },
    harness::{chain, pid, run, until},
    tls_cluster::{Cluster, TlsServer},
};

pub(crate) const ANYBODY: &str = "host all all 127.0.0.1/32 trust";
pub(crate) const WITH_TLS: &str = "hostssl all all 127.0.0.1/32 trust";
const WITHOUT_TLS: &str = "hostnossl all all 127.0.0.1/32 trust";

/// Whether the connection of the next call has TLS.
pub(crate) async fn has_tls(db: &Database) -> bool {
    let (tls,): (bool,) =
        db.fetch_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", ()).await.unwrap();
    tls
}

/// `tls`, `plain`, or the failure, which is told at once; the same whether statements have names or not.
async fn verdict(server: &TlsServer, pairs: &str) -> String {
    let named = verdict_with(server, pairs, Prepared::Named).await;
    let unnamed = verdict_with(server, pairs, Prepared::Unnamed).await;
    // The text for an expired certificate has the time of the handshake, in seconds.
    assert_eq!(without_digits(&unnamed), without_digits(&named), "{pairs}");
    named
}

fn without_digits(text: &str) -> String {
    text.replace(|character: char| character.is_ascii_digit(), "")
}

async fn verdict_with(server: &TlsServer, pairs: &str, prepared: Prepared) -> String {
    match server.builder(pairs).prepared(prepared).connect().await {
        Ok(db) => if has_tls(&db).await { "tls" } else { "plain" }.to_owned(),
        Err(error @ Error::Get(GetError::Create(_))) => chain(&error).join(": "),
        Err(error) => panic!("{pairs}: {error:?}"),
    }
}

async fn expect(server: &TlsServer, pairs: &str, expected: &str) {
    let verdict = verdict(server, pairs).await;
    assert!(is(&verdict, expected), "{pairs}: expected {expected}, got {verdict}");
}

/// Whether the verdict is `tls` or `plain`, or has this text in it.
fn is(verdict: &str, expected: &str) -> bool {
    match expected {
        "tls" | "plain" => verdict == expected,
        text => verdict.contains(text),
    }
}

/// Each mode at servers with each kind of certificate.
#[test]
#[ignore = "real tier"]
fn each_mode_does_as_libpq_says() {
    const UNKNOWN: &str = "the certificate of the server is not signed by a root certificate";
    const EXPIRED: &str = "the certificate of the server has expired";
    const HOST: &str = "the certificate of the server is for another host";
    const NONE: &str = "server does not support TLS";
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let root = cluster.write("root.crt", &TRUSTED.certificate);
        let root = format!("sslrootcert={}", root.display());
        let modes = [
            "sslmode=disable".to_owned(),
            "sslmode=allow".to_owned(),
            String::new(),
            "sslmode=require".to_owned(),
            format!("sslmode=require {root}"),
            format!("sslmode=verify-ca {root}"),
            format!("sslmode=verify-full {root}"),
            format!("sslmode=verify-full {root} host=127.0.0.1"),
        ];
        let servers: [(_, Option<Signed>, _); 9] = [
            ("plain", None, ["plain", "plain", "plain", NONE, NONE, NONE, NONE, NONE]),
            (
                "right",
                Some(TRUSTED.sign(&["localhost"])),
                ["plain", "plain", "tls", "tls", "tls", "tls", "tls", HOST],
            ),
            (
                "other host",
                Some(TRUSTED.sign(&["db.example.com"])),
                ["plain", "plain", "tls", "tls", "tls", "tls", HOST, HOST],
            ),
            (
                "other authority",
                Some(OTHER.sign(&["localhost", "127.0.0.1"])),
                ["plain", "plain", "tls", "tls", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN],
            ),
            (
                "expired",
                Some(TRUSTED.sign_expired(&["localhost", "127.0.0.1"])),
                ["plain", "plain", "tls", "tls", EXPIRED, EXPIRED, EXPIRED, EXPIRED],
            ),
            (
                "address",
                Some(TRUSTED.sign(&["127.0.0.1"])),
                ["plain", "plain", "tls", "tls", "tls", "tls", HOST, "tls"],
            ),
            (
                "star and intermediate authority",
                Some(TRUSTED.sign_with_intermediate(&["*.example.com", "localhost"])),
                ["plain", "plain", "tls", "tls", "tls", "tls", "tls", HOST],
            ),
            (
                "common name of another host",
                Some(TRUSTED.sign_common_name("db.example.com")),
                ["plain", "plain", "tls", "tls", "tls", "tls", HOST, HOST],
            ),
            (
                "common name",
                Some(TRUSTED.sign_common_name("localhost")),
                ["plain", "plain", "tls", "tls", "tls", "tls", "tls", HOST],
            ),
        ];
        for (name, signed, expected) in servers {
            let server = cluster.start(signed.as_ref(), ANYBODY, &[]).await;
            for (mode, expected) in modes.iter().zip(expected) {
                let verdict = verdict(&server, mode).await;
                assert!(is(&verdict, expected), "{name}, {mode}: expected {expected}, got {verdict}");
            }
            drop(server);
        }
    });
}

/// Certificates that rustls alone would not take, made as in the manual of PostgreSQL.
#[test]
#[ignore = "real tier"]
fn the_certificates_of_the_manual_are_accepted() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        for signed in [
            self_signed_authority("localhost"),
            version_1(),
            self_signed(&["localhost"], &PKCS_ECDSA_P256_SHA256),
        ] {
            let server = cluster.start(Some(&signed), ANYBODY, &[]).await;
            let own = cluster.write("own.crt", &signed.certificate).display().to_string();
            let other = cluster.write("other.crt", &TRUSTED.certificate).display().to_string();
            expect(&server, "sslmode=require", "tls").await;
            expect(&server, &format!("sslmode=verify-ca sslrootcert={own}"), "tls").await;
            expect(&server, &format!("sslmode=verify-full sslrootcert={own}"), "tls").await;
            expect(
                &server,
                &format!("sslmode=verify-ca sslrootcert={other}"),
                "the certificate of the server",
            )
            .await;
            drop(server);
        }
        for signed in [self_signed_authority("db.example.com"), TRUSTED.sign_common_name("*.example.com")] {
            let server = cluster.start(Some(&signed), ANYBODY, &[]).await;
            let roots = format!("{}{}", signed.certificate, TRUSTED.certificate);
            let roots = cluster.write("own.crt", &roots).display().to_string();
            let wrong = format!("sslmode=verify-full sslrootcert={roots}");
            expect(&server, &wrong, "for another host").await;
            expect(&server, &format!("host=db.example.com {wrong}"), "tls").await;
            drop(server);
        }
    });
}

/// The rules of `pg_hba.conf` for connections with TLS and without it.
#[test]
#[ignore = "real tier"]
fn a_server_that_refuses_an_encryption_is_asked_with_the_other() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let signed = TRUSTED.sign(&["localhost"]);
        let refused = "no pg_hba.conf entry for host \"127.0.0.1\"";
        for (hba, expected) in [
            (WITH_TLS, [refused, "tls", "tls", "tls"]),
            (WITHOUT_TLS, ["plain", "plain", "plain", refused]),
            ("", [refused; 4]),
        ] {
            let server = cluster.start(Some(&signed), hba, &[]).await;
            for (mode, expected) in ["disable", "allow", "prefer", "require"].into_iter().zip(expected) {
                expect(&server, &format!("sslmode={mode}"), expected).await;
            }
            if hba.is_empty() {
                let Err(Error::Get(GetError::Create(error))) = server.builder("").connect().await else {
                    panic!("it is refused")
                };
                let ConnectError { hosts, .. } = &error;
                assert_eq!(hosts.len(), 2, "{error}");
                assert!(hosts[1].host.ends_with(" without TLS"), "{error}");
                assert!(error.to_string().contains("no encryption"), "{error}");
                let Err(Error::Get(GetError::Create(error))) =
                    server.builder("sslmode=allow").connect().await
                else {
                    panic!("it is refused")
                };
                assert!(error.hosts[1].host.ends_with(" with TLS"), "{error}");
            }
            drop(server);
        }
    });
}

/// A wrong password is not sent again without TLS, nor is one of the two attempts repeated.
#[test]
#[ignore = "real tier"]
fn a_wrong_password_is_sent_once() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let hba = "host all app 127.0.0.1/32 scram-sha-256";
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), hba, &["log_connections=on"]).await;
        server.admin.batch_execute("create role app login password 'right'").await.unwrap();
        for mode in ["allow", "prefer", "require"] {
            let pairs = format!("user=app password=wrong sslmode={mode}");
            let Err(Error::Get(GetError::Create(error))) = server.builder(&pairs).connect().await else {
                panic!("it is refused")
            };
            assert_eq!((error.hosts.len(), error.db().unwrap().code().code()), (1, "28P01"), "{error}");
        }
        let log = std::fs::read_to_string(cluster.dir.join("log")).unwrap();
        assert_eq!(log.matches("password authentication failed").count(), 3, "{log}");
        server.admin.batch_execute("drop role app").await.unwrap();
    });
}

/// SCRAM is bound to the certificate, by the hash function of its signature.
#[test]
#[ignore = "real tier"]
fn a_password_is_bound_to_the_certificate() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let names = &["localhost"][..];
        let hba = "host all app 127.0.0.1/32 scram-sha-256";
        for (signed, has_binding) in [
            (self_signed(names, &PKCS_ECDSA_P256_SHA256), true),
            (self_signed(names, &PKCS_ECDSA_P384_SHA384), true),
            (self_signed_rsa(names, &PKCS_RSA_SHA256), true),
            (self_signed_rsa(names, &PKCS_RSA_SHA512), true),
            // It has no hash function of its own.
            (self_signed_ed25519(names), false),
        ] {
            let server = cluster.start(Some(&signed), hba, &[]).await;
            server.admin.batch_execute("create role app login password 'secret'").await.unwrap();
            let app = "user=app password=secret sslmode=require";
            expect(&server, app, "tls").await;
            let bound = if has_binding { "tls" } else { "server did not use channel binding" };
            expect(&server, &format!("{app} channel_binding=require"), bound).await;
            expect(&server, &format!("{app} channel_binding=disable"), "tls").await;
            let without = "user=app password=secret sslmode=disable channel_binding=require";
            expect(&server, without, "server did not use channel binding").await;
            server.admin.batch_execute("drop role app").await.unwrap();
            drop(server);
        }
    });
}

/// Clients with a certificate, whose files are read for each connection.
#[test]
#[ignore = "real tier"]
fn a_client_shows_its_certificate() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let root = cluster.write("clients.crt", &TRUSTED.certificate);
        let hba = "hostssl all all 127.0.0.1/32 cert";
        let settings = [&*format!("ssl_ca_file={}", root.display())];
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), hba, &settings).await;
        let write = |signed: &Signed| {
            let certificate = cluster.write("client.crt", &signed.certificate);
            let key = cluster.write("client.key", &signed.key);
            format!("sslmode=require sslcert={} sslkey={}", certificate.display(), key.display())
        };
        let good = TRUSTED.sign_common_name("postgres");
        let pairs = write(&good);
        expect(&server, &pairs, "tls").await;
        expect(&server, "sslmode=require", "connection requires a valid client certificate").await;

        // The database connects again by what the files have then.
        let db = server.builder(&pairs).max(1).connect().await.unwrap();
        write(&TRUSTED.sign_common_name("app"));
        server.admin.execute("select pg_terminate_backend($1)", (pid(&db).await,)).await.unwrap();
        until("it is refused", async || match db.batch_execute("select 1").await {
            Err(Error::Get(error)) => {
                assert!(chain(&error).join(": ").contains("certificate authentication failed"), "{error:?}");
                true
            }
            _ => false,
        })
        .await;
        write(&good);
        assert!(has_tls(&db).await);

        // Wrong files are told at once, with their names.
        write(&Signed { certificate: good.certificate.clone(), key: OTHER.sign(&["x"]).key });
        expect(&server, &pairs, "the client certificate cannot be used").await;
        cluster.write(
            "client.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        expect(&server, &pairs, "client.key has no private key, or an encrypted one").await;
        cluster.write("client.crt", "nothing");
        expect(&server, &pairs, "client.crt has no certificate").await;
        std::fs::remove_file(cluster.dir.join("client.crt")).unwrap();
        expect(&server, &pairs, "client.crt cannot be read: No such file").await;
        expect(&server, "sslmode=verify-ca sslrootcert=/nowhere.pem", "/nowhere.pem cannot be read").await;
        let empty = cluster.write("empty.pem", "");
        let empty = format!("sslmode=verify-full sslrootcert={}", empty.display());
        expect(&server, &empty, "empty.pem has no certificate").await;

        // One that the server does not know.
        let stranger = OTHER.sign_common_name("postgres");
        let options = |mode| {
            TlsOptions::new(mode).client_certificate(stranger.certificate.clone(), stranger.key.clone())
        };
        let builder = server.builder("").tls(options(SslMode::Require));
        let Err(Error::Get(GetError::Create(error))) = builder.connect().await else {
            panic!("it is refused")
        };
        assert!(chain(&error).join(": ").contains("received fatal alert: UnknownCA"), "{error:?}");
        assert_eq!(error.hosts.len(), 1, "{error:?}");
        drop(server);

        // Without TLS nobody asks for a certificate.
        let hba = format!("{hba}\n{WITHOUT_TLS}");
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), &hba, &settings).await;
        let db = server.builder("").tls(options(SslMode::Prefer)).connect().await.unwrap();
        assert!(!has_tls(&db).await);
    });
}

/// TLS from the first byte, which PostgreSQL has since version 17.
#[test]
#[ignore = "real tier"]
fn a_handshake_may_come_first() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        if cluster.version < 17 {
            return;
        }
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), WITH_TLS, &[]).await;
        let root = cluster.write("root.crt", &TRUSTED.certificate);
        expect(&server, "sslmode=require sslnegotiation=direct", "tls").await;
        let full = format!("sslmode=verify-full sslnegotiation=direct sslrootcert={}", root.display());
        expect(&server, &full, "tls").await;
        expect(&server, "sslnegotiation=direct", "may not be used with sslnegotiation=direct").await;
        let db = server.builder(&full).connect().await.unwrap();
        let dropped =
            tokio::time::timeout(Duration::from_millis(300), db.batch_execute("select pg_sleep(3600)"));
        dropped.await.unwrap_err();
        until("it is cancelled", async || db.snapshot().in_use == 0).await;
        let sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        assert_eq!(server.admin.fetch_one::<(i64,)>(sql, ()).await.unwrap().0, 0);
    });
}

/// The system's root certificates did not sign those of this test.
#[test]
#[ignore = "real tier"]
fn the_system_does_not_trust_a_stranger() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), ANYBODY, &[]).await;
        for pairs in ["sslrootcert=system", "sslmode=verify-full", "sslmode=verify-full sslrootcert=system"] {
            let verdict = verdict(&server, pairs).await;
            let is_refused = verdict.contains("not signed by a root certificate")
                || verdict.contains("the system has no root certificates");
            assert!(is_refused, "{pairs}: {verdict}");
        }
    });
}
