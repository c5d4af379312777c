//! Behind PgBouncer, in its transaction mode.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_postgres::{
    Database, Error, PoolMode,
    tokio_postgres::{
        Socket,
        config::SslMode,
        tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::{
    harness::{TestSchema, chain, number, run, until},
    pgbouncer::Pooler,
    test_host::{TestHost, at},
};

const SECS: fn(u64) -> Duration = Duration::from_secs;

/// Drops statements that would store a row, and returns the number of rows in the end.
async fn rows_of_dropped(schema: &TestSchema, db: &Database, times: u32) -> i64 {
    let table = format!("{}.t", schema.name);
    schema.admin.batch_execute(&format!("create table {table} (n int8)")).await.unwrap();
    // Sent as text, because PgBouncer may give each transaction another connection.
    let sql = format!("insert into {table} select 1 from pg_sleep(1.5)");
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like $1";
    let like = format!("insert into {table}%");
    for _ in 0..times {
        tokio::select! {
            biased;
            ended = db.batch_execute(&sql) => panic!("it has ended: {ended:?}"),
            () = until("it sleeps", async || schema.admin.fetch_one::<(i64,)>(asleep, (&like,)).await.unwrap().0 > 0) => {}
        }
        until("it ends", async || schema.admin.fetch_one::<(i64,)>(asleep, (&like,)).await.unwrap().0 == 0)
            .await;
    }
    until("all are back", async || db.snapshot().in_use == 0).await;
    number(&schema.admin, &format!("select count(*) from {table}")).await
}

#[test]
#[ignore = "real tier"]
fn a_dropped_statement_is_cancelled() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "default_pool_size = 5").await else { return };
        let db = pooler.builder(&schema).max(2).connect().await.unwrap();
        assert_eq!(rows_of_dropped(&schema, &db, 20).await, 0);
    });
}

/// Its requests to cancel are sent all the same, and the pooler lives to serve the next one.
#[test]
#[ignore = "real tier"]
fn a_database_that_is_dropped_cancels_its_statements() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "default_pool_size = 10").await else { return };
        let like = format!("%/* {} */%", schema.name);
        let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like $1";
        let asleep = async || schema.admin.fetch_one::<(i64,)>(asleep, (&like,)).await.unwrap().0;
        let sql = format!("select pg_sleep(600) /* {} */", schema.name);
        for round in 0..15 {
            let db = pooler.builder(&schema).max(4).connect().await.unwrap();
            let calls =
                async { tokio::join!(db.execute(&sql, ()), db.execute(&sql, ()), db.execute(&sql, ())) };
            tokio::select! {
                biased;
                ended = calls => panic!("they have ended: {ended:?}"),
                () = until("they sleep", async || asleep().await == 3) => {}
            }
            match round % 3 {
                0 => {}
                1 => sleep(Duration::from_micros(300 * round)).await,
                _ => assert!(db.close(SECS(10)).await.stragglers.is_empty()),
            }
            drop(db);
            until("all have ended", async || asleep().await == 0).await;
        }
        let db = pooler.builder(&schema).max(1).connect().await.unwrap();
        assert_eq!(number(&db, "select 1::int8").await, 1);
    });
}

/// TLS that changes nothing.
#[derive(Clone)]
struct Plain;

struct PlainStream(Socket);

impl MakeTlsConnect<Socket> for Plain {
    type Stream = PlainStream;
    type TlsConnect = Plain;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Plain> {
        Ok(Plain)
    }
}

impl TlsConnect<Socket> for Plain {
    type Stream = PlainStream;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<PlainStream>>;

    fn connect(self, stream: Socket) -> Self::Future {
        std::future::ready(Ok(PlainStream(stream)))
    }
}

impl TlsStream for PlainStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A host that accepts TLS, and forwards to another host.
async fn encrypted(to: u16) -> TestHost {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::default());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                assert_eq!(request[4..], 80_877_103_i32.to_be_bytes(), "it asks for TLS first");
                client.write_all(b"S").await?;
                let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    TestHost { port, seen }
}

/// With TLS, on a server that has it and on one that does not.
#[test]
#[ignore = "real tier"]
fn a_dropped_statement_is_cancelled_with_tls_as_well() {
    run(|schema| async move {
        for has_tls in [true, false] {
            let Some(pooler) = Pooler::start(&schema, "default_pool_size = 5").await else { return };
            let tls = encrypted(pooler.host.port).await;
            let mut config = at(&schema.config, &[if has_tls { &tls } else { &pooler.host }]);
            config.ssl_mode(if has_tls { SslMode::Require } else { SslMode::Prefer });
            let db = Database::builder_with_tls(config, Plain).max(2).connect().await.unwrap();
            assert_eq!(rows_of_dropped(&schema, &db, 5).await, 0, "{has_tls}");
            schema.admin.batch_execute(&format!("drop table {}.t", schema.name)).await.unwrap();
        }
    });
}

/// A pooler that takes TLS alone, which it says in an error of its own.
#[test]
#[ignore = "real tier"]
#[cfg(feature = "rustls")]
fn a_pooler_may_take_tls_alone() {
    use crate::certificates::{Signed, TRUSTED};

    run(|schema| async move {
        let dir = std::env::temp_dir().join(format!("evenkeel-{}-pooler", schema.name));
        std::fs::create_dir(&dir).unwrap();
        let Signed { certificate, key } = TRUSTED.sign(&["localhost"]);
        let file = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name).display().to_string()
        };
        let (certificate, key) = (file("server.crt", &certificate), file("server.key", &key));
        let root = file("root.crt", &TRUSTED.certificate);
        let settings = format!(
            "client_tls_sslmode = require\nclient_tls_cert_file = {certificate}\nclient_tls_key_file = {key}"
        );
        let Some(pooler) = Pooler::start(&schema, &settings).await else {
            return std::fs::remove_dir_all(dir).unwrap();
        };
        let port = pooler.host.port;
        let builder = |pairs: &str| {
            let all = format!("host=localhost hostaddr=127.0.0.1 port={port} user=postgres {pairs}");
            Database::builder_from_url(&all).unwrap().max(2)
        };
        let mut all = Vec::new();
        for pairs in ["sslmode=allow", "", &format!("sslmode=verify-full sslrootcert={root}")] {
            let db = builder(pairs).connect().await.unwrap();
            assert_eq!(rows_of_dropped(&schema, &db, 3).await, 0, "{pairs}");
            schema.admin.batch_execute(&format!("drop table {}.t", schema.name)).await.unwrap();
            // PgBouncer 1.18 ends itself where a request to cancel is given up, as it is with its database.
            all.push(db);
        }
        let error = chain(&builder("sslmode=disable").connect().await.unwrap_err()).join(": ");
        assert!(error.contains("SSL required"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    });
}

/// A statement that waits in the pooler cannot be cancelled: its connection is in use until it has ended.
#[test]
#[ignore = "real tier"]
fn a_statement_in_the_queue_of_the_pooler_keeps_its_place() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "default_pool_size = 1").await else { return };
        let table = format!("{}.t", schema.name);
        schema.admin.batch_execute(&format!("create table {table} (n int8)")).await.unwrap();
        let other = pooler.builder(&schema).max(1).connect().await.unwrap();
        let db = pooler.builder(&schema).max(1).cleanup_timeout(SECS(20)).connect().await.unwrap();
        let holding = tokio::spawn(async move { other.batch_execute("select pg_sleep(2)").await });
        sleep(Duration::from_millis(300)).await;
        let insert = format!("insert into {table} values (1)");
        let dropped = tokio::time::timeout(Duration::from_millis(300), db.batch_execute(&insert)).await;
        assert!(dropped.is_err(), "it waits in the queue: {dropped:?}");
        sleep(Duration::from_millis(500)).await;
        assert_eq!((db.snapshot().in_use, db.snapshot().size), (1, 1));
        holding.await.unwrap().unwrap();
        until("it is back", async || db.snapshot().in_use == 0).await;
        assert!(number(&schema.admin, &format!("select count(*) from {table}")).await <= 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_pooler_without_room_is_waited_for() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "max_client_conn = 1").await else { return };
        let first = pooler.builder(&schema).max(1).connect().await.unwrap();
        let error = pooler.builder(&schema).max(1).acquire_timeout(SECS(1)).connect().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert!(chain(&error).last().unwrap().contains("no more connections allowed"), "{error:?}");

        let waiting = tokio::spawn(pooler.builder(&schema).max(1).connect());
        sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        assert!(first.close(SECS(10)).await.stragglers.is_empty());
        waiting.await.unwrap().unwrap();
    });
}

/// PgBouncer ends the link with an error that is not marked as fatal: the link is not used again.
#[test]
#[ignore = "real tier"]
fn a_link_that_the_pooler_ends_is_not_used_again() {
    run(|schema| async move {
        let settings = "default_pool_size = 1\nquery_wait_timeout = 1";
        let Some(pooler) = Pooler::start(&schema, settings).await else { return };
        let other = pooler.builder(&schema).max(1).connect().await.unwrap();
        let db = pooler.builder(&schema).max(1).connect().await.unwrap();
        for _ in 0..2 {
            let holder = other.clone();
            let holding = tokio::spawn(async move { holder.batch_execute("select pg_sleep(3)").await });
            sleep(Duration::from_millis(200)).await;
            let refused: Error = db.batch_execute("select 1").await.unwrap_err();
            assert!(refused.is_connection_lost(), "{refused:?}");
            assert_eq!(refused.code().map(|code| code.code()), Some("08P01"), "{refused:?}");
            assert_eq!((db.snapshot().size, db.snapshot().discarded), (0, db.snapshot().created));
            holding.await.unwrap().unwrap();
            db.batch_execute("select 1").await.unwrap();
        }
    });
}

/// `RESET ALL` goes back to what the pooler asked the server for, which is not what the client asked the pooler for.
#[test]
#[ignore = "real tier"]
fn a_reset_keeps_the_encoding_and_the_name_of_the_client() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "pool_mode = session").await else { return };
        let name = format!("{}_latin1", schema.name);
        let create = format!(
            "create database {name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
        );
        schema.admin.execute(&create, ()).await.unwrap();
        let mut config = at(&schema.config, &[&pooler.host]);
        config.dbname(&name).application_name(r"the\ 'app'");
        let db = Database::builder(config).max(1).pool_mode(PoolMode::Session).connect().await.unwrap();
        let settings = "select current_setting('application_name'), current_setting('client_encoding'), 'é'";
        for _ in 0..3 {
            let (app, encoding, text): (String, String, String) = db.fetch_one(settings, ()).await.unwrap();
            assert_eq!((app.as_str(), encoding.as_str(), text.as_str()), (r"the\ 'app'", "UTF8", "é"));
            db.batch_execute("set application_name to 'another'; set client_encoding to 'LATIN1'")
                .await
                .unwrap();
        }
        assert_eq!(db.snapshot().created, 1);
        assert!(db.close(SECS(10)).await.stragglers.is_empty());
        drop(pooler);
        schema.admin.execute(&format!("drop database {name} with (force)"), ()).await.unwrap();
    });
}
