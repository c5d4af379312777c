//! Abandoned statements on a real server.

use std::time::Duration;

use evenkeel_postgres::{Database, Error, TxOptions};
use tokio::time::timeout;

use crate::{
    harness::{number, pid, run, until},
    tunnel::Tunnel,
};

/// Drops a call while the server runs it.
async fn abandon(schema: &crate::harness::TestSchema, call: impl Future) {
    tokio::select! {
        biased;
        _ = call => panic!("it has ended"),
        () = schema.until_asleep() => {}
    }
}

const HOUR: &str = "select pg_sleep(3600)";

#[test]
#[ignore = "real tier"]
fn it_is_cancelled_and_the_next_user_is_served() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let first = pid(&db).await;
        abandon(&schema, db.execute(HOUR, ())).await;
        assert_eq!(
            (db.snapshot().in_use, db.snapshot().size),
            (1, 1),
            "its place is taken until it has ended"
        );

        let second = pid(&db).await;
        assert_ne!(first, second);
        schema.until_backends("%", 1).await;
        assert_eq!(schema.backends("active").await, 0);
        assert_eq!((db.snapshot().created, db.snapshot().discarded), (2, 1));
    });
}

#[test]
#[ignore = "real tier"]
fn there_are_never_more_backends_than_places() {
    run(|schema| async move {
        let db = schema.db(2).await;
        let mut most = 0;
        for _ in 0..20 {
            let both = async { tokio::join!(db.execute(HOUR, ()), db.execute(HOUR, ())) };
            assert!(timeout(Duration::from_millis(10), both).await.is_err());
            most = most.max(schema.backends("active").await);
        }
        assert!(most <= 2, "{most}");
        assert_eq!(number(&db, "select 1::int8").await, 1);
        schema.until_backends("active", 0).await;
        until("all are back", async || db.snapshot().in_use == 0).await;
    });
}

#[test]
#[ignore = "real tier"]
fn rows_that_nobody_reads_hold_nobody_up() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let rows = db.fetch_all::<(i32,)>("select generate_series(1, 100000000)", ());
        assert!(timeout(Duration::from_millis(50), rows).await.is_err());
        assert_eq!(number(&db, "select 1::int8").await, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn with_it_goes_the_transaction_and_its_locks() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (n int8); insert into t values (1)").await.unwrap();
        let call = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("update t set n = 2", ()).await?;
            tx.execute(HOUR, ()).await?;
            Ok::<_, Error>(())
        });
        abandon(&schema, call).await;
        assert_eq!(db.execute("update t set n = n + 10", ()).await.unwrap(), 1);
        assert_eq!(number(&db, "select n from t").await, 11);
    });
}

#[test]
#[ignore = "real tier"]
fn a_transaction_cannot_go_on_without_it() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (n int)").await.unwrap();
        let result = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("insert into t values (1)", ()).await?;
            abandon(&schema, tx.execute(HOUR, ())).await;
            let after = tx.execute("insert into t values (2)", ()).await;
            assert!(matches!(after, Err(Error::Abandoned)), "{after:?}");
            Ok(())
        });
        let result: Result<(), Error> = result.await;
        assert!(matches!(result, Err(Error::Abandoned)), "{result:?}");
        assert_eq!(number(&db, "select count(*) from t").await, 0);
        schema.until_backends("active", 0).await;
    });
}

#[test]
#[ignore = "real tier"]
fn many_rows_on_their_way_are_none() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (n int)").await.unwrap();
        let sql = "insert into t select $1 from pg_sleep(0.02)";
        abandon(&schema, db.execute_many(sql, (0..1_000_000).map(|n| (n,)))).await;
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn where_it_cannot_be_cancelled_its_place_is_free_after_a_time() {
    run(|schema| async move {
        // A connection from another `Connect` has no address for the request.
        let db: Database = Database::over(Tunnel::default().manager(&schema.config))
            .max(1)
            .cleanup_timeout(Duration::from_millis(100))
            .build()
            .unwrap();
        abandon(&schema, db.execute("select pg_sleep(2)", ())).await;
        assert_eq!(db.snapshot().in_use, 1);
        assert_eq!(number(&db, "select 1::int8").await, 1);
        assert_eq!(schema.backends("active").await, 1, "it cannot be told");
    });
}

#[test]
#[ignore = "real tier"]
fn the_database_is_closed_when_it_has_ended() {
    run(|schema| async move {
        let db = schema.db(1).await;
        abandon(&schema, db.execute(HOUR, ())).await;
        assert!(db.close(Duration::from_secs(30)).await.stragglers.is_empty());
        schema.until_backends("%", 0).await;
        assert!(db.execute("select 1", ()).await.unwrap_err().is_closed());
    });
}
