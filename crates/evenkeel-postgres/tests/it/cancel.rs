//! Every future is dropped at each of its awaits.

use std::time::Duration;

use evenkeel_postgres::{Database, Error, SqlBatch, TxOptions};
use evenkeel_testkit::{assert_took, cancel};

use crate::scripted_server::{Answer, Server};

#[derive(Clone)]
struct Both {
    server: Server,
    db: Database,
}

/// A server that takes 10 ms for every answer.
fn slow(sql: &str) -> Option<Answer> {
    let answer = if sql.starts_with("select") { Answer::Rows(vec![1]) } else { Answer::Count(1) };
    Some(Answer::After(Duration::from_millis(10), Box::new(answer)))
}

/// After any drop the next call has a connection at once, without an open transaction, and there was never more than one
/// connection.
async fn in_order(Both { server, db }: Both) {
    let stats = db.snapshot();
    assert_eq!((stats.in_use, stats.creating, stats.size), (0, 0, stats.idle), "all came back");
    let log = server.log();
    let mut open = false;
    for line in &log {
        let (_, what) = line.split_once(' ').unwrap();
        match what {
            "BEGIN" => assert!(!std::mem::replace(&mut open, true), "{log:?}"),
            "COMMIT" | "ROLLBACK" | "ends" => open = false,
            _ => {}
        }
    }
    assert!(!open, "{log:?}");
    let begun = log.iter().filter(|line| line.ends_with("begins")).count();
    let ended = log.iter().filter(|line| line.ends_with("ends")).count();
    assert_eq!(begun - ended, stats.size, "{log:?}");
    let (one,): (i32,) = assert_took!(db.fetch_one("select 1", ()), Duration::from_millis(10)).unwrap();
    assert_eq!(one, 1);
}

async fn both() -> Both {
    let server = Server::new(slow);
    Both { db: server.db(), server }
}

macro_rules! at_every_point {
    ($name:ident, |$db:ident| $call:expr) => {
        #[test]
        fn $name() {
            let cuts = cancel::every_point(both, async |Both { db: $db, .. }| $call.await.unwrap(), in_order);
            assert!(cuts.points() > 0);
        }
    };
}

at_every_point!(fetch_one, |db| async { db.fetch_one::<(i32,)>("select 1", ()).await });
at_every_point!(fetch_opt, |db| async { db.fetch_opt::<(i32,)>("select 1", ()).await });
at_every_point!(fetch_all, |db| async { db.fetch_all::<(i32,)>("select 1", ()).await });
at_every_point!(execute, |db| async { db.execute("update", ()).await });
at_every_point!(batch, |db| async {
    let mut batch = SqlBatch::new();
    batch.push("insert", ()).push("update", ()).push("insert", ());
    db.batch(batch).await
});
at_every_point!(execute_many, |db| async { db.execute_many("insert", [(), (), ()]).await });
at_every_point!(batch_execute, |db| async { db.batch_execute("create").await });

at_every_point!(a_transaction_that_commits, |db| async {
    db.transaction(TxOptions::new(), async |tx| {
        tx.fetch_opt::<(i32,)>("select 1", ()).await?;
        tokio::try_join!(tx.execute("update", ()), tx.fetch_all::<(i32,)>("select 1", ()))?;
        tx.execute_many("insert", [(), ()]).await?;
        tx.batch_execute("savepoint s").await?;
        tx.fetch_one::<(i32,)>("select 1", ()).await
    })
    .await
});
at_every_point!(a_transaction_that_fails, |db| async {
    let refused = db.transaction(TxOptions::new(), async |tx| {
        tx.execute("update", ()).await?;
        Err::<(), _>(Error::RowCount(0))
    });
    Ok::<_, Error>(refused.await.unwrap_err())
});

#[test]
fn what_is_prepared_again() {
    let cuts = cancel::every_point(
        async || {
            let mut fails = [false, true, false, true].into_iter();
            let server = Server::new(move |sql| match sql {
                "select 1" if fails.next() == Some(true) => Some(Answer::Refuse("26000")),
                sql => slow(sql),
            });
            Both { db: server.db(), server }
        },
        async |Both { db, .. }| {
            for _ in 0..2 {
                db.fetch_one::<(i32,)>("select 1", ()).await.unwrap();
            }
            let again =
                db.transaction(TxOptions::new(), async |tx| tx.fetch_one::<(i32,)>("select 1", ()).await);
            again.await.unwrap() as (i32,);
        },
        async |both| {
            both.server.told(slow);
            in_order(both).await;
        },
    );
    assert!(cuts.points() > 0);
}

// A statement that may end the transaction, as far as its text tells.
at_every_point!(a_statement_that_is_watched, |db| async {
    let watched =
        db.transaction(TxOptions::new(), async |tx| tx.batch_execute("insert '\\'; commit; --'").await);
    watched.await
});

#[test]
fn connect() {
    let cuts = cancel::every_point(
        async || Server::new(slow),
        async |server| {
            let db = server.builder().connect().await.unwrap();
            assert_eq!(db.snapshot().idle, 1);
        },
        async |server| {
            let log = server.log();
            assert!(log.is_empty() || log == ["1 begins", "1 ends"], "{log:?}");
        },
    );
    assert!(cuts.points() > 0);
}

#[test]
fn close() {
    let cuts = cancel::every_point(
        async || {
            let both = both().await;
            let db = both.db.clone();
            tokio::spawn(async move { drop(db.execute("update", ()).await) });
            both
        },
        async |Both { db, .. }| drop(db.close(Duration::from_secs(1)).await),
        async |Both { server, db }| {
            assert_eq!(db.snapshot().in_use, 0);
            drop(server);
        },
    );
    assert!(cuts.points() > 0);
}
