//! Batches: several statements in one message.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use evenkeel_postgres::{Database, Error, Prepared, SqlBatch, TxOptions};

use crate::{
    bulk::cut,
    harness::{TestSchema, chain, number, pid, run, until},
    pgbouncer::Pooler,
    test_host::{at, counting},
};

const INSERT: &str = "insert into t (id, name) values ($1, $2)";

async fn table(schema: &TestSchema) -> Database {
    let db = schema.db(1).await;
    db.batch_execute("create table t (id bigint primary key, name text)").await.unwrap();
    db
}

/// Databases of one connection, whose statements have names, and have none.
async fn both(schema: &TestSchema) -> [Database; 2] {
    let unnamed = schema.builder().max(1).prepared(Prepared::Unnamed).connect().await.unwrap();
    [table(schema).await, unnamed]
}

async fn count(db: &Database) -> i64 {
    number(db, "select count(*) from t").await
}

fn inserts(ids: impl IntoIterator<Item = i64>) -> SqlBatch<'static> {
    let mut batch = SqlBatch::new();
    for id in ids {
        batch.push(INSERT, (id, "x"));
    }
    batch
}

#[test]
#[ignore = "real tier"]
fn each_statement_has_a_result_and_sees_those_before_it() {
    run(|schema| async move {
        let name = String::from("borrowed");
        for db in both(&schema).await {
            db.execute("delete from t", ()).await.unwrap();
            for round in 0..3_i64 {
                let mut batch = SqlBatch::new();
                batch.push(INSERT, (round, &name)).push(INSERT, (round + 10, "b"));
                batch.push("update t set name = $1 where id >= $2", ("c", 10_i64));
                batch.push("select id, name from t where id % 10 = $1 order by id", (round,));
                batch.push("select 1 where false", ());
                let results = db.batch(batch).await.unwrap();
                let affected: Vec<_> = results.iter().map(|result| result.affected()).collect();
                assert_eq!(affected, [1, 1, round as u64 + 1, 2, 0]);
                let rows: Vec<(i64, String)> = results.into_iter().nth(3).unwrap().into_rows().unwrap();
                assert_eq!(rows, [(round, name.clone()), (round + 10, "c".to_owned())]);
            }
            assert!(db.batch(SqlBatch::new()).await.unwrap().is_empty());
            assert_eq!(db.batch(inserts(1_000..2_000)).await.unwrap().len(), 1_000);
            assert_eq!(count(&db).await, 1_006);
            assert_eq!(db.snapshot().created, 1);

            let mut batch = SqlBatch::new();
            batch.push("select 'text'", ());
            let wrong = db.batch(batch).await.unwrap().remove(0).into_rows::<(i64,)>();
            assert!(matches!(wrong, Err(Error::Decode(_))), "{wrong:?}");
        }
    });
}

#[test]
#[ignore = "real tier"]
fn the_first_statement_that_fails_is_named_and_nothing_is_stored() {
    run(|schema| async move {
        for db in both(&schema).await {
            let before = pid(&db).await;
            // New to the connection, and known to it; among the first ones and behind the window.
            for (ids, index) in [(vec![1, 2, 1, 3], 2), ((0..400).chain([7]).chain(400..900).collect(), 400)]
            {
                for _ in 0..2 {
                    let error = db.batch(inserts(ids.clone())).await.unwrap_err();
                    assert!(matches!(&error, Error::Batch { index: at, .. } if *at == index), "{error:?}");
                    assert_eq!(error.code().unwrap().code(), "23505");
                    assert_eq!(chain(&error)[0], format!("statement {index} of the batch failed: {INSERT}"));
                    assert!(!error.is_commit_unknown() && !error.is_connection_lost());
                    assert_eq!(count(&db).await, 0);
                }
            }
            for (sql, index, code) in [("select * from no_such_table", 1, "42P01"), ("selec", 1, "42601")] {
                let mut batch = inserts([1]);
                batch.push(sql, ()).push(INSERT, (2_i64, "y"));
                let error = db.batch(batch).await.unwrap_err();
                assert!(
                    matches!(&error, Error::Batch { index: at, sql: text, .. } if *at == index && &**text == sql)
                );
                assert_eq!(error.code().unwrap().code(), code);
            }
            // A parameter that does not fit, and too few of them.
            for wrong in 0..2 {
                let mut batch = inserts([1, 2]);
                if wrong == 0 {
                    batch.push(INSERT, (3_i32, "z"))
                } else {
                    batch.push(INSERT, (3_i64,))
                };
                batch.push(INSERT, (4_i64, "z"));
                let error = db.batch(batch).await.unwrap_err();
                assert!(matches!(&error, Error::Batch { index: 2, .. }), "{error:?}");
                assert!(error.code().is_none());
            }
            assert_eq!((count(&db).await, pid(&db).await), (0, before));
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_commit_that_the_server_refuses_is_told() {
    run(|schema| async move {
        let db = table(&schema).await;
        let create = "create table d (id bigint references t deferrable initially deferred)";
        db.batch_execute(create).await.unwrap();
        let mut batch = inserts([1]);
        batch.push("insert into d values (2)", ());
        let error = db.batch(batch).await.unwrap_err();
        assert!(matches!(error, Error::Statement(_)), "{error:?}");
        assert_eq!((error.code().unwrap().code(), count(&db).await), ("23503", 0));
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_cannot_end_its_transaction() {
    run(|schema| async move {
        let db = table(&schema).await;
        for end in ["commit", "rollback", "end"] {
            let mut batch = inserts([1]);
            batch.push(end, ()).push(INSERT, (2_i64, "y"));
            let error = db.batch(batch).await.unwrap_err();
            assert!(matches!(error, Error::Ended), "{end}: {error:?}");
            assert_eq!(count(&db).await, 0, "{end}");
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_in_a_transaction_is_a_part_of_it() {
    run(|schema| async move {
        let db = table(&schema).await;
        let done = db.transaction(TxOptions::new(), async |tx| {
            tx.batch(inserts([1, 2])).await?;
            tx.batch_execute("savepoint s").await?;
            let error = tx.batch(inserts([3, 1, 4])).await.unwrap_err();
            assert!(matches!(error, Error::Batch { index: 1, .. }), "{error:?}");
            tx.batch_execute("rollback to s").await?;
            assert!(tx.batch(SqlBatch::new()).await?.is_empty());
            tx.batch(inserts([5])).await.map(|results| results.len())
        });
        assert_eq!(done.await.unwrap(), 1);
        assert_eq!(number(&db, "select sum(id)::bigint from t").await, 8);

        let failed = db.transaction(TxOptions::new(), async |tx| {
            tx.execute(INSERT, (10_i64, "x")).await?;
            drop(tx.batch(inserts([1])).await);
            Ok::<_, Error>(())
        });
        assert!(matches!(failed.await, Err(Error::Aborted(_))));
        assert_eq!(count(&db).await, 3);

        // A conflict repeats the transaction, and not a batch alone.
        let conflict = "do $$ begin raise exception using errcode = '40001'; end $$";
        let conflicting = |id| {
            let mut batch = inserts([id]);
            batch.push(conflict, ());
            batch
        };
        assert!(db.batch(conflicting(20)).await.unwrap_err().is_conflict());
        let attempts = AtomicUsize::new(0);
        let repeated = db.transaction(TxOptions::new(), async |tx| {
            let batch = if attempts.fetch_add(1, Relaxed) == 0 { conflicting(21) } else { inserts([22]) };
            tx.batch(batch).await
        });
        assert_eq!(repeated.await.unwrap().len(), 1);
        assert_eq!((attempts.load(Relaxed), count(&db).await), (2, 4));
    });
}

#[test]
#[ignore = "real tier"]
fn statements_that_are_stale_are_prepared_again() {
    run(|schema| async move {
        let db = table(&schema).await;
        let read = |id: i64| {
            let mut batch = inserts([id]);
            batch.push("select * from t order by id desc limit 1", ());
            batch
        };
        db.batch(read(1)).await.unwrap();
        schema
            .admin
            .batch_execute(&format!("alter table {}.t add more int default 7", schema.name))
            .await
            .unwrap();
        let last = db.batch(read(2)).await.unwrap().remove(1).into_rows::<(i64, String, i32)>().unwrap();
        assert_eq!(last, [(2, "x".to_owned(), 7)]);
        // A parameter whose type is another one now.
        db.execute("insert into t values ($1, $2)", (3_i64, "x")).await.unwrap();
        schema
            .admin
            .batch_execute(&format!("alter table {}.t alter id type int", schema.name))
            .await
            .unwrap();
        let mut batch = SqlBatch::new();
        batch.push("insert into t values ($1, $2)", (4_i32, "x"));
        db.batch(batch).await.unwrap();
        assert_eq!(count(&db).await, 4);
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_takes_two_round_trips_and_one_in_a_transaction() {
    run(|schema| async move {
        let db = table(&schema).await;
        let (host, turns) = counting(&schema.config).await;
        let far = Database::builder(at(&schema.config, &[&host])).max(1).connect().await.unwrap();
        let mut from = 0;
        for expected in [2, 2] {
            turns.store(0, Relaxed);
            far.batch(inserts(from..from + 20)).await.unwrap();
            assert_eq!(turns.load(Relaxed), expected);
            from += 20;
        }
        let in_tx = far.transaction(TxOptions::new(), async |tx| {
            turns.store(0, Relaxed);
            tx.batch(inserts(from..from + 20)).await?;
            assert_eq!(turns.load(Relaxed), 1);
            Ok::<_, Error>(())
        });
        in_tx.await.unwrap();
        assert_eq!(count(&db).await, 60);
    });
}

/// A connection keeps 100 statements. Each of more of them was prepared again where it stood once more, in a round trip of
/// its own.
#[test]
#[ignore = "real tier"]
fn more_texts_than_a_connection_keeps_are_prepared_once_for_each_batch() {
    run(|schema| async move {
        let (host, turns) = counting(&schema.config).await;
        for prepared in [Prepared::Named, Prepared::Unnamed] {
            let builder = Database::builder(at(&schema.config, &[&host])).max(1).prepared(prepared);
            let far = builder.connect().await.unwrap();
            for _ in 0..2 {
                let mut batch = SqlBatch::new();
                // All of them are in flight at a time.
                for n in 0..250_i32 {
                    batch.push(&format!("select {} + $1", n % 125), (n,));
                }
                turns.store(0, Relaxed);
                let results = far.batch(batch).await.unwrap();
                // The answers begin to arrive while the last statements are sent.
                assert!(turns.load(Relaxed) < 60, "{turns:?}");
                for (n, result) in (0..).zip(results) {
                    assert_eq!(result.into_rows::<(i32,)>().unwrap(), [(n % 125 + n,)]);
                }
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_that_is_dropped_at_any_poll_stores_all_or_nothing() {
    run(|schema| async move {
        let direct = table(&schema).await;
        let pooler = Pooler::start(&schema, "default_pool_size = 2").await;
        let pooled = match &pooler {
            Some(pooler) => Some(pooler.builder(&schema).max(1).connect().await.unwrap()),
            None => None,
        };
        let insert = format!("insert into {}.t (id, name) values ($1, $2)", schema.name);
        for db in [Some(&direct), pooled.as_ref()].into_iter().flatten() {
            for in_tx in [false, true] {
                for polls in 1.. {
                    let batch = || {
                        let mut batch = SqlBatch::new();
                        for id in 0..30_i64 {
                            // Statements that the connection does not know, too.
                            batch.push(&format!("{insert} -- {} {}", polls % 9, id % 3), (id, "x"));
                        }
                        batch
                    };
                    let ended = if in_tx {
                        let body = async |tx: evenkeel_postgres::Tx| tx.batch(batch()).await;
                        cut(db.transaction(TxOptions::new(), body), polls).await
                    } else {
                        cut(db.batch(batch()), polls).await
                    };
                    until("it is back", async || db.snapshot().in_use == 0).await;
                    let stored = count(&direct).await;
                    assert!(stored == 0 || stored == 30, "{in_tx} at poll {polls}: {stored}");
                    direct.execute("delete from t", ()).await.unwrap();
                    if let Some(ended) = ended {
                        assert_eq!((ended.unwrap().len(), stored), (30, 30));
                        break;
                    }
                }
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_dropped_batch_is_cancelled_and_a_lost_one_has_an_unknown_outcome() {
    run(|schema| async move {
        let db = table(&schema).await;
        let slow = || {
            let mut batch = inserts([1]);
            batch.push("select pg_sleep(30)", ()).push(INSERT, (2_i64, "x"));
            batch
        };
        tokio::select! {
            ended = db.batch(slow()) => panic!("{ended:?}"),
            () = schema.until_asleep() => {}
        }
        until("it is back", async || db.snapshot().in_use == 0).await;
        assert_eq!(count(&db).await, 0);

        let victim = pid(&db).await;
        let (ended, ()) = tokio::join!(db.batch(slow()), async {
            schema.until_asleep().await;
            schema.kill(victim).await;
        });
        let error = ended.unwrap_err();
        assert!(error.is_commit_unknown() && error.is_connection_lost(), "{error:?}");
        assert_eq!(count(&db).await, 0);
    });
}

/// A batch that did not begin is repeated: the server had ended the connection, which was idle.
#[test]
#[ignore = "real tier"]
fn a_batch_that_met_the_end_of_an_idle_connection_is_repeated() {
    run(|schema| async move {
        drop(table(&schema).await);
        let db = schema.db_with(1, "-c idle_session_timeout=50ms").await;
        for id in 0..5_i64 {
            db.batch(inserts([id])).await.unwrap();
            schema.until_backends("idle", 0).await;
        }
        assert_eq!(number(&schema.admin, &format!("select count(*) from {}.t", schema.name)).await, 5);
    });
}
