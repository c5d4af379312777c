//! Notifications, and what a listener does when its connection is lost.

use std::time::Duration;

use evenkeel_postgres::{
    Database, Error, ListenEvent, Listener, TxOptions, deadpool_postgres::Manager, tokio_postgres::NoTls,
};
use futures::StreamExt as _;

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
