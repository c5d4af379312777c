//! Several connections with TLS: those of a pool, of listeners, of requests to cancel, and to several hosts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_postgres::{Database, Error, GetError, ListenEvent, Prepared, SslMode, TlsOptions};
use futures::TryStreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    certificates::{OTHER, TRUSTED},
    harness::{chain, pid, run, until},
    tls::{ANYBODY, WITH_TLS, has_tls},
    tls_cluster::Cluster,
};

/// Forwards to a server, and notes the first code of each link.
struct Relay {
    port: u16,
    codes: Arc<Mutex<Vec<u32>>>,
}

const TLS_REQUEST: u32 = 80_877_103;

impl Relay {
    async fn start(to: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, codes) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<u32>>>::default());
        let noted = Arc::clone(&codes);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let mut first = [0; 8];
                    client.read_exact(&mut first).await?;
                    let code = first[4..].try_into().map(u32::from_be_bytes).unwrap();
                    noted.lock().unwrap().push(code);
                    let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
                    server.write_all(&first).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Relay { port, codes }
    }

    fn seen(&self) -> Vec<u32> {
        self.codes.lock().unwrap().clone()
    }
}

/// A wrong certificate is told to all who wait, and nothing is repeated.
#[test]
#[ignore = "real tier"]
fn a_wrong_certificate_fails_all_who_wait_at_once() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let server = cluster.start(Some(&OTHER.sign(&["localhost"])), ANYBODY, &[]).await;
        let relay = Relay::start(server.port).await;
        let options = TlsOptions::new(SslMode::VerifyFull).root_certificates(TRUSTED.certificate.clone());
        let config = format!("host=localhost hostaddr=127.0.0.1 port={} user=postgres", relay.port);
        let db = Database::builder(config.parse().unwrap()).tls(options).max(1).build().unwrap();
        let calls = || async { db.batch_execute("select 1").await.unwrap_err() };
        let (a, b, c) = tokio::join!(calls(), calls(), calls());
        for error in [a, b, c] {
            assert!(matches!(error, Error::Get(GetError::Create(_))), "{error:?}");
            let chain = chain(&error);
            assert!(chain.iter().any(|text| text.contains("not signed by a root certificate")), "{chain:?}");
            assert!(chain.last().unwrap().contains("UnknownIssuer"), "{chain:?}");
        }
        assert_eq!(relay.seen().len(), 1, "one attempt is enough");
    });
}

/// Dropped calls are cancelled over TLS, and listeners and new connections have it as well.
#[test]
#[ignore = "real tier"]
fn everything_goes_over_tls() {
    run(|schema| async move {
        let Some(cluster) = Cluster::new(&schema).await else { return };
        let server = cluster.start(Some(&TRUSTED.sign(&["localhost"])), WITH_TLS, &[]).await;
        let relay = Relay::start(server.port).await;
        let root = cluster.write("root.crt", &TRUSTED.certificate);
        for (mode, prepared) in [
            ("prefer", Prepared::Named),
            ("require", Prepared::Named),
            ("verify-full", Prepared::Named),
            ("prefer", Prepared::Unnamed),
            ("verify-full", Prepared::Unnamed),
        ] {
            let root =
                if mode == "prefer" { String::new() } else { format!("sslrootcert={}", root.display()) };
            let pairs = format!(
                "host=localhost hostaddr=127.0.0.1 port={} user=postgres dbname=postgres sslmode={mode} {root}",
                relay.port
            );
            let builder = Database::builder_from_url(&pairs).unwrap().max(2).prepared(prepared);
            let db = builder.connect().await.unwrap();
            let asleep = async || {
                let sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
                server.admin.fetch_one::<(i64,)>(sql, ()).await.unwrap().0
            };
            tokio::select! {
                biased;
                ended = db.batch_execute("select pg_sleep(3600)") => panic!("it has ended: {ended:?}"),
                () = until("it sleeps", async || asleep().await == 1) => {}
            }
            until("it is cancelled", async || asleep().await == 0).await;
            until("it is back", async || db.snapshot().in_use == 0).await;

            // The end of a connection is told over TLS, and it is replaced.
            let victim = pid(&db).await;
            server.admin.execute("select pg_terminate_backend($1)", (victim,)).await.unwrap();
            until("there is another one", async || {
                let called = db.fetch_one::<(i32,)>("select pg_backend_pid()", ()).await;
                matches!(called, Ok((pid,)) if pid != victim)
            })
            .await;
            assert!(has_tls(&db).await);

            let mut listener = db.listen(["jobs"]).await.unwrap();
            db.batch_execute("notify jobs, 'one'").await.unwrap();
            let event = listener.try_next().await.unwrap();
            assert!(
                matches!(&event, Some(ListenEvent::Notification(n)) if n.payload() == "one"),
                "{event:?}"
            );
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%'";
            assert_eq!(server.admin.execute(sql, ()).await.unwrap(), 1);
            let event = listener.try_next().await.unwrap();
            assert!(matches!(event, Some(ListenEvent::MayHaveMissed)), "{event:?}");
            db.batch_execute("notify jobs, 'two'").await.unwrap();
            let event = listener.try_next().await.unwrap();
            assert!(
                matches!(&event, Some(ListenEvent::Notification(n)) if n.payload() == "two"),
                "{event:?}"
            );
        }
        // A request to cancel beside four connections in each round, at the least.
        assert!(relay.seen().len() >= 15, "{:?}", relay.seen());
        assert!(relay.seen().iter().all(|code| *code == TLS_REQUEST), "{:?}", relay.seen());
    });
}

/// Each host has the certificate for its own name, and one that is wrong does not keep from the next.
#[test]
#[ignore = "real tier"]
fn several_hosts_have_names_of_their_own() {
    run(|schema| async move {
        let Some(first) = Cluster::new(&schema).await else { return };
        let Some(second) = Cluster::new(&schema).await else { return };
        let wrong = first.start(Some(&TRUSTED.sign(&["db2.example.com"])), ANYBODY, &[]).await;
        let right = second.start(Some(&TRUSTED.sign(&["db2.example.com"])), ANYBODY, &[]).await;
        let root = first.write("root.crt", &TRUSTED.certificate);
        let url = format!(
            "postgres://postgres@db1.example.com:{},db2.example.com:{}/postgres?hostaddr=127.0.0.1,127.0.0.1\
             &sslmode=verify-full&sslrootcert={}",
            wrong.port,
            right.port,
            root.display()
        );
        let db = Database::connect(&url).await.unwrap();
        let (port,): (String,) = db.fetch_one("show port", ()).await.unwrap();
        assert_eq!(port, right.port.to_string());
        drop(right);
        let error =
            Database::builder_from_url(&url).unwrap().acquire_timeout(Duration::from_secs(2)).connect();
        let error = chain(&error.await.unwrap_err()).join(": ");
        assert!(error.contains("db1.example.com") && error.contains("for another host"), "{error}");
        assert!(error.contains("db2.example.com") && error.contains("refused"), "{error}");

        let bare = format!("hostaddr=127.0.0.1 port={} user=postgres dbname=postgres", wrong.port);
        assert!(has_tls(&Database::connect(&format!("{bare} sslmode=require")).await.unwrap()).await);
        let root = format!("sslrootcert={}", root.display());
        let verified = format!("{bare} sslmode=verify-ca {root}");
        assert!(has_tls(&Database::connect(&verified).await.unwrap()).await);
        let error = Database::connect(&format!("{bare} sslmode=verify-full {root}")).await.unwrap_err();
        assert!(chain(&error).join(": ").contains("needs a host"), "{error:?}");
    });
}
