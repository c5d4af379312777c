//! Notifications, and what a listener does when its connection is lost.

use std::time::Duration;

use evenkeel_postgres::{
    Database, Error, ListenEvent, Listener, PoolMode, TxOptions,
    deadpool_postgres::Manager,
    tokio_postgres::{Config, NoTls, config::SslMode},
};
use futures::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use crate::harness::{TestSchema, chain, code, run};

/// Returns the next event as text.
async fn next(listener: &mut Listener) -> String {
    match listener.next().await.unwrap().unwrap() {
        ListenEvent::Notification(n) => format!("{}: {}", n.channel(), n.payload()),
        event => format!("{event:?}"),
    }
}

async fn notify(schema: &TestSchema, channel: &str, payload: &str) {
    schema.admin.execute("select pg_notify($1, $2)", (channel, payload)).await.unwrap();
}

#[test]
#[ignore = "real tier"]
fn notifications_arrive_in_order_from_the_channels_that_are_named() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let (one, two) = (format!("{} A", schema.name), format!("{}\"b", schema.name));
        let mut listener = db.listen([&one, &two]).await.unwrap();
        assert_eq!(db.snapshot().size, 1, "it is not one of the pool");
        notify(&schema, &one, "1").await;
        notify(&schema, "other", "2").await;
        notify(&schema, &two, "3").await;
        assert_eq!(next(&mut listener).await, format!("{one}: 1"));
        assert_eq!(next(&mut listener).await, format!("{two}: 3"));
        drop(listener);
        schema.until_backends("%", 1).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_transaction_sends_equal_payloads_once_and_at_its_commit() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = &schema.name;
        let mut listener = db.listen([name]).await.unwrap();
        let sent = db.transaction(TxOptions::new(), async |tx| {
            for payload in ["a", "b", "a"] {
                tx.execute("select pg_notify($1, $2)", (name, payload)).await?;
            }
            tx.batch_execute("savepoint s").await?;
            tx.execute("select pg_notify($1, 'a')", (name,)).await?;
            Ok::<_, Error>(())
        });
        sent.await.unwrap();
        notify(&schema, name, "end").await;
        for expected in ["a", "b", "end"] {
            assert_eq!(next(&mut listener).await, format!("{name}: {expected}"));
        }
    });
}

/// Equal payloads are folded also across savepoints, those of a savepoint that was left by a rollback are not sent, and
/// nothing arrives before the commit, nor ever after a rollback.
#[test]
#[ignore = "real tier"]
fn payloads_are_folded_across_savepoints_and_sent_at_the_commit() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = &schema.name;
        let listener = tokio::sync::Mutex::new(db.listen([name]).await.unwrap());
        let send = async |tx: &evenkeel_postgres::Tx, payload: &str| {
            tx.execute("select pg_notify($1, $2)", (name, payload)).await
        };
        let rolled_back = db.transaction(TxOptions::new(), async |tx| {
            send(&tx, "never").await?;
            Err::<(), _>(Error::RowCount(0))
        });
        assert!(rolled_back.await.is_err());
        let sent = db.transaction(TxOptions::new(), async |tx| {
            send(&tx, "a").await?;
            tx.batch_execute("savepoint s").await?;
            send(&tx, "a").await?;
            send(&tx, "b").await?;
            tx.batch_execute("release s; savepoint t").await?;
            send(&tx, "c").await?;
            tx.batch_execute("rollback to t").await?;
            send(&tx, "b").await?;
            // A notification that another transaction commits meanwhile arrives first.
            notify(&schema, name, "other").await;
            assert_eq!(next(&mut *listener.lock().await).await, format!("{name}: other"));
            Ok::<_, Error>(())
        });
        sent.await.unwrap();
        notify(&schema, name, "end").await;
        for expected in ["a", "b", "end"] {
            assert_eq!(next(&mut *listener.lock().await).await, format!("{name}: {expected}"));
        }
        // The listener has no transaction that would hold notifications back.
        let state = "select state from pg_stat_activity where application_name = $1 and query like 'LISTEN%'";
        assert_eq!(schema.admin.fetch_scalar::<String>(state, (name,)).await.unwrap(), "idle");
    });
}

#[test]
#[ignore = "real tier"]
fn a_payload_has_at_most_7999_bytes() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = &schema.name;
        let mut listener = db.listen([name]).await.unwrap();
        // Bytes, and not letters.
        for (longest, letter) in [(7_999, "x"), (3_999, "é")] {
            let payload = letter.repeat(longest);
            notify(&schema, name, &payload).await;
            assert_eq!(next(&mut listener).await, format!("{name}: {payload}"));
            let longer = format!("{payload}{letter}");
            let refused = schema.admin.execute("select pg_notify($1, $2)", (name, longer)).await;
            assert_eq!(code(refused), "22023");
        }
    });
}

/// The server keeps nothing for a session that is gone: what was sent meanwhile does not arrive.
#[test]
#[ignore = "real tier"]
fn a_notification_that_was_sent_while_nobody_listened_is_gone() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = schema.name.clone();
        let mut listener = db.listen([&name]).await.unwrap();
        let listening =
            "select pid from pg_stat_activity where application_name = $1 and query like 'LISTEN%'";
        let pid: i32 = schema.admin.fetch_scalar(listening, (&name,)).await.unwrap();
        schema.kill(pid).await;
        // It is not polled, and does not connect again.
        crate::harness::until("its session has ended", async || {
            schema.admin.fetch_opt::<(i32,)>(listening, (&name,)).await.unwrap().is_none()
        })
        .await;
        notify(&schema, &name, "lost").await;
        assert_eq!(next(&mut listener).await, "MayHaveMissed");
        notify(&schema, &name, "after").await;
        assert_eq!(next(&mut listener).await, format!("{name}: after"));
    });
}

#[test]
#[ignore = "real tier"]
fn a_lost_connection_is_replaced_and_told() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = schema.name.clone();
        let mut listener = db.listen([&name]).await.unwrap();
        for round in 0..3 {
            notify(&schema, &name, "before").await;
            assert_eq!(next(&mut listener).await, format!("{name}: before"), "round {round}");
            let sql = "select pid from pg_stat_activity where application_name = $1 and query like 'LISTEN%'
                       order by backend_start desc limit 1";
            let pid: i32 = schema.admin.fetch_scalar(sql, (&name,)).await.unwrap();
            schema.kill(pid).await;
            assert_eq!(next(&mut listener).await, "MayHaveMissed");
        }
        notify(&schema, &name, "after").await;
        assert_eq!(next(&mut listener).await, format!("{name}: after"));
    });
}

#[test]
#[ignore = "real tier"]
fn a_listener_that_is_not_polled_loses_nothing() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let name = schema.name.clone();
        let mut listener = db.listen([&name]).await.unwrap();
        let sql = "select pg_notify($1, n || repeat('x', 1000)) from generate_series(1, 5000) n";
        schema.admin.execute(sql, (&name,)).await.unwrap();
        for n in 1..=5_000 {
            let expected = format!("{name}: {n}{}", "x".repeat(1_000));
            assert_eq!(next(&mut listener).await, expected);
        }
    });
}

#[test]
#[ignore = "real tier"]
fn what_cannot_be_listened_to_is_told() {
    run(|schema| async move {
        let db = schema.db(1).await;
        assert_eq!(code(db.listen([""]).await), "42601");
        let over = Database::over(Manager::new(schema.config.clone(), NoTls)).build().unwrap();
        let error = over.listen(["jobs"]).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");

        let mut config = schema.config.clone();
        config.dbname("no_such_database");
        let limit = Duration::from_secs(30);
        let wrong = Database::builder(config).acquire_timeout(limit).build().unwrap();
        let error = wrong.listen(["jobs"]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "3D000", "{:?}", chain(&error));
    });
}

/// A server that greets, and then answers to the statement of each connection, or is silent.
async fn greeter(answers: Vec<&'static [u8]>) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                stream.write_all(answer).await.unwrap();
                if answer.is_empty() || answer.ends_with(b"!\0") {
                    let _ = stream.read_to_end(&mut Vec::<u8>::new()).await;
                }
            });
        }
    });
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("u").ssl_mode(SslMode::Disable);
    config
}

const LISTENS: &[u8] = b"C\0\0\0\x0bLISTEN\0Z\0\0\0\x05I";
const LISTENS_AND_NOTIFIES: &[u8] = b"C\0\0\0\x0bLISTEN\0Z\0\0\0\x05IA\0\0\0\x0f\0\0\0\x01jobs\0!\0";

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_is_silent_after_the_login_is_left_by_a_listener() {
    let short = Duration::from_millis(100);
    let config = greeter(vec![LISTENS, b"", LISTENS_AND_NOTIFIES]).await;
    let builder = Database::builder(config).pool_mode(PoolMode::Session).connect_timeout(short);
    let mut listener = builder.build().unwrap().listen(["jobs"]).await.unwrap();
    // The first connection ends, and the second one is silent.
    assert_eq!(next(&mut listener).await, "MayHaveMissed");
    assert_eq!(next(&mut listener).await, "jobs: !");

    let config = greeter(vec![b""; 9]).await;
    let builder = Database::builder(config.clone()).pool_mode(PoolMode::Session).acquire_timeout(short);
    let db = builder.connect_timeout(Duration::MAX).build().unwrap();
    let silent = timeout(Duration::from_secs(30), db.listen(["jobs"])).await.expect("a bound");
    let why = chain(&silent.unwrap_err());
    let port = config.get_ports()[0];
    assert!(why[1].starts_with(&format!("no connection to 127.0.0.1:{port}: no answer within ")), "{why:?}");
}
