//! Transactions are committed or rolled back, and repeated after a conflict.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::{Database, Error, Policy, RetryError, Tx, TxOptions};
use tokio::sync::Barrier;

use crate::{
    harness::{TestSchema, chain, code, number, pid, run},
    tunnel::{Cut, Tunnel},
};

#[derive(Debug)]
pub(crate) enum Failed {
    Own(u32),
    Database(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

pub(crate) async fn with_table(schema: &TestSchema, max: usize) -> Database {
    let db = schema.db(max).await;
    db.batch_execute("create table t (id int primary key, n int8 not null)").await.unwrap();
    db
}

pub(crate) async fn insert(tx: &Tx, id: i32) -> Result<u64, Error> {
    tx.execute("insert into t values ($1, 1)", (id,)).await
}

pub(crate) async fn count(db: &Database) -> i64 {
    number(db, "select count(*) from t").await
}

#[test]
#[ignore = "real tier"]
fn ok_commits_and_err_rolls_back() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let pid = pid(&db).await;
        let stored: Result<u64, Failed> = db
            .transaction_with_error(TxOptions::new(), async |tx| {
                Ok(insert(&tx, 1).await? + insert(&tx, 2).await?)
            })
            .await;
        assert_eq!((stored.unwrap(), count(&db).await), (2, 2));

        let refused: Result<(), Failed> = db
            .transaction_with_error(TxOptions::new(), async |tx| {
                insert(&tx, 3).await?;
                Err(Failed::Own(7))
            })
            .await;
        assert!(matches!(refused, Err(Failed::Own(7))), "{refused:?}");

        let failed: Result<(), Failed> = db
            .transaction_with_error(TxOptions::new(), async |tx| {
                insert(&tx, 3).await?;
                insert(&tx, 1).await?;
                Ok(())
            })
            .await;
        let Err(Failed::Database(error)) = failed else { panic!("{failed:?}") };
        assert_eq!(error.code().map(|code| code.code()), Some("23505"));
        assert_eq!(count(&db).await, 2);
        assert_eq!(crate::harness::pid(&db).await, pid, "the connection is as good as before");
    });
}

#[test]
#[ignore = "real tier"]
fn a_panic_and_a_drop_roll_back() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let pid = pid(&db).await;
        let panics = tokio::spawn({
            let db = db.clone();
            async move {
                let body = async |tx: Tx| -> Result<(), Error> {
                    insert(&tx, 1).await?;
                    panic!("meant");
                };
                db.transaction(TxOptions::new(), body).await
            }
        });
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(count(&db).await, 0);

        let inserted = AtomicU32::new(0);
        let waits = db.transaction(TxOptions::new(), async |tx| {
            insert(&tx, 1).await?;
            inserted.store(1, Relaxed);
            std::future::pending::<Result<(), Error>>().await
        });
        tokio::select! {
            _ = waits => panic!("it has ended"),
            () = crate::harness::until("it has inserted", async || inserted.load(Relaxed) == 1) => {}
        }
        assert_eq!(count(&db).await, 0);
        assert_eq!(crate::harness::pid(&db).await, pid, "nothing was in flight, so the connection is kept");
    });
}

#[test]
#[ignore = "real tier"]
fn the_options_are_in_effect() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let show =
            "select current_setting('transaction_isolation'), current_setting('transaction_read_only')";
        for (options, level) in [
            (TxOptions::new(), "read committed"),
            (TxOptions::read_committed(), "read committed"),
            (TxOptions::repeatable_read(), "repeatable read"),
            (TxOptions::serializable(), "serializable"),
        ] {
            for (options, access) in [(options.clone(), "off"), (options.read_only(), "on")] {
                let shown: Result<(String, String), Error> =
                    db.transaction(options, async |tx| tx.fetch_one(show, ()).await).await;
                assert_eq!(shown.unwrap(), (level.into(), access.into()));
            }
        }
        let change: Result<u64, Error> =
            db.transaction(TxOptions::new().read_only(), async |tx| insert(&tx, 1).await).await;
        assert_eq!(code(change), "25006");
    });
}

#[test]
#[ignore = "real tier"]
fn statements_may_be_polled_together() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let all: Result<_, Error> = db
            .transaction(TxOptions::new(), async |tx| {
                tokio::try_join!(insert(&tx, 1), insert(&tx, 2), tx.fetch_one::<(i32,)>("select 3", ()))
            })
            .await;
        assert_eq!(all.unwrap(), (1, 1, (3,)));
        assert_eq!(count(&db).await, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn what_failed_inside_is_not_committed_in_silence() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let ignored: Result<(), Error> = db
            .transaction(TxOptions::new(), async |tx| {
                insert(&tx, 1).await?;
                assert_eq!(code(tx.execute("select 1/0", ()).await), "22012");
                assert_eq!(code(insert(&tx, 2).await), "25P02");
                Ok(())
            })
            .await;
        let ignored = ignored.unwrap_err();
        assert!(matches!(ignored, Error::Aborted(_)), "{ignored:?}");
        assert_eq!(ignored.code().map(|code| code.code()), Some("22012"));
        assert_eq!(chain(&ignored).len(), 2);
        assert_eq!(count(&db).await, 0);

        let saved: Result<(), Error> = db
            .transaction(TxOptions::new(), async |tx| {
                insert(&tx, 1).await?;
                tx.batch_execute("savepoint s").await?;
                assert_eq!(code(insert(&tx, 1).await), "23505");
                tx.batch_execute("rollback to savepoint s").await?;
                insert(&tx, 2).await?;
                Ok(())
            })
            .await;
        saved.unwrap();
        assert_eq!(count(&db).await, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_handle_that_is_kept_is_not_committed() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let kept = Mutex::new(None);
        let result: Result<(), Error> = db
            .transaction(TxOptions::new(), async |tx| {
                insert(&tx, 1).await?;
                *kept.lock().unwrap() = Some(tx);
                Ok(())
            })
            .await;
        assert!(matches!(result, Err(Error::TxStillBorrowed)), "{result:?}");
        assert_eq!(db.snapshot().in_use, 1);
        drop(kept);
        assert_eq!(count(&db).await, 0);
    });
}

/// Each transaction reads what the other one changes: one of them has to see the change of the other.
#[test]
#[ignore = "real tier"]
fn a_serialization_failure_is_repeated() {
    run(|schema| async move {
        let db = with_table(&schema, 2).await;
        db.batch_execute("insert into t values (1, 10), (2, 20)").await.unwrap();
        let (attempts, both_have_read) = (AtomicU32::new(0), Barrier::new(2));
        let cross = async |from: i32, to: i32| {
            let result: Result<(), Failed> = db
                .transaction_with_error(TxOptions::serializable(), async |tx| {
                    let first = attempts.fetch_add(1, Relaxed) < 2;
                    let (n,): (i64,) = tx.fetch_one("select n from t where id = $1", (from,)).await?;
                    if first {
                        both_have_read.wait().await;
                    }
                    tx.execute("update t set n = $2 where id = $1", (to, n))
                        .await
                        .map_err(|_| Failed::Own(1))?;
                    Ok(())
                })
                .await;
            result.unwrap();
        };
        tokio::join!(cross(1, 2), cross(2, 1));
        assert!(attempts.load(Relaxed) > 2);
        assert_eq!(number(&db, "select count(distinct n) from t").await, 1, "one came after the other");
        assert_eq!(db.snapshot().discarded, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_deadlock_is_repeated() {
    run(|schema| async move {
        with_table(&schema, 1).await;
        let db = schema.db_with(2, "-c deadlock_timeout=20ms").await;
        db.batch_execute("insert into t values (1, 0), (2, 0)").await.unwrap();
        let (attempts, both_have_one) = (AtomicU32::new(0), Barrier::new(2));
        let update = "update t set n = n + 1 where id = $1";
        let both = async |first: i32, second: i32| {
            let result: Result<(), Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    let meet = attempts.fetch_add(1, Relaxed) < 2;
                    tx.execute(update, (first,)).await?;
                    if meet {
                        both_have_one.wait().await;
                    }
                    tx.execute(update, (second,)).await?;
                    Ok(())
                })
                .await;
            result.unwrap();
        };
        tokio::join!(both(1, 2), both(2, 1));
        assert!(attempts.load(Relaxed) > 2);
        assert_eq!(number(&db, "select sum(n)::int8 from t").await, 4);
    });
}

pub(crate) const CONFLICT: &str = "do $$ begin raise 'too bad' using errcode = '40001'; end $$";

#[test]
#[ignore = "real tier"]
fn what_is_always_in_conflict_is_given_up() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let policy = Policy::fixed(Duration::from_millis(1)).max_attempts(4);
        let attempts = AtomicU32::new(0);
        let result = db.transaction_with_error(TxOptions::new().retry(policy), async |tx| {
            attempts.fetch_add(1, Relaxed);
            assert_eq!(db.snapshot().in_use, 1);
            insert(&tx, 1).await?;
            tx.batch_execute(CONFLICT).await.map_err(|_| Failed::Own(2))
        });
        let Err(Failed::Database(error)) = result.await else { panic!("it is the error of the transaction") };
        assert!(matches!(&error, Error::GaveUp(RetryError { attempts: 4, .. })), "{error:?}");
        assert!(error.is_conflict());
        let texts = chain(&error);
        assert!(texts[0].starts_with("the transaction gave up after 4 attempts and "), "{texts:?}");
        assert_eq!(texts[1..], ["ERROR: too bad"]);
        assert_eq!((attempts.load(Relaxed), count(&db).await), (4, 0));
    });
}

#[test]
#[ignore = "real tier"]
fn a_swallowed_conflict_is_repeated_too() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let attempts = AtomicU32::new(0);
        let result: Result<u32, Error> = db
            .transaction(TxOptions::new(), async |tx| {
                let attempt = attempts.fetch_add(1, Relaxed);
                if attempt < 2 {
                    assert_eq!(code(tx.batch_execute(CONFLICT).await), "40001");
                }
                Ok(attempt)
            })
            .await;
        assert_eq!(result.unwrap(), 2);
    });
}

#[test]
#[ignore = "real tier"]
fn an_attempt_that_takes_too_long_is_cancelled_and_repeated() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let policy =
            Policy::fixed(Duration::ZERO).max_attempts(2).attempt_timeout(Duration::from_millis(300));
        let attempts = AtomicU32::new(0);
        let result: Result<(), Error> = db
            .transaction(TxOptions::new().retry(policy), async |tx| {
                insert(&tx, 1).await?;
                if attempts.fetch_add(1, Relaxed) == 0 {
                    tx.execute("select pg_sleep(3600)", ()).await?;
                }
                Ok(())
            })
            .await;
        result.unwrap();
        assert_eq!((attempts.load(Relaxed), count(&db).await), (2, 1));
    });
}

const CHECK_AT_COMMIT: &str = "
    create function at_commit() returns trigger language plpgsql as $$ begin
        perform case new.n when 1 then 1 / (new.n - 1) when 2 then pg_terminate_backend(pg_backend_pid())::int::int8 end;
        return null;
    end $$;
    create constraint trigger at_commit after insert on t deferrable initially deferred
        for each row execute function at_commit()";

async fn fails_at_commit(db: &Database, n: i64) -> (Error, u32) {
    let attempts = AtomicU32::new(0);
    let result: Result<(), Error> = db
        .transaction(TxOptions::new(), async |tx| {
            attempts.fetch_add(1, Relaxed);
            tx.execute("insert into t values (1, $1)", (n,)).await?;
            Ok(())
        })
        .await;
    (result.unwrap_err(), attempts.load(Relaxed))
}

#[test]
#[ignore = "real tier"]
fn a_commit_that_is_refused_is_no_riddle() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        db.batch_execute(CHECK_AT_COMMIT).await.unwrap();
        let (error, attempts) = fails_at_commit(&db, 1).await;
        assert_eq!((error.code().map(|code| code.code()), attempts), (Some("22012"), 1));
        assert!(matches!(error, Error::Statement(_)), "{error:?}");
        assert_eq!(count(&db).await, 0);
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_commit_in_which_the_connection_is_lost_may_have_come_about() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        db.batch_execute(CHECK_AT_COMMIT).await.unwrap();
        let (error, attempts) = fails_at_commit(&db, 2).await;
        assert!(error.is_commit_unknown() && error.is_connection_lost(), "{error:?}");
        assert_eq!((error.code().map(|code| code.code()), attempts), (Some("57P01"), 1));
        assert_eq!(count(&db).await, 0);

        let tunnel = Tunnel::default();
        let cut = Database::over(tunnel.manager(&schema.config)).max(1).connect().await.unwrap();
        for (where_, stored) in [(Cut::Before("COMMIT"), 0), (Cut::After("COMMIT"), 1)] {
            tunnel.cut(where_);
            let (error, attempts) = fails_at_commit(&cut, 3).await;
            assert!(error.is_commit_unknown() && error.is_connection_lost(), "{error:?}");
            assert_eq!(error.to_string(), "the connection was lost during the commit");
            assert_eq!((attempts, error.code()), (1, None));
            assert_eq!(count(&db).await, stored, "{where_:?}");
        }
        tunnel.cut(Cut::Before("insert"));
        let (error, _) = fails_at_commit(&cut, 3).await;
        assert!(!error.is_commit_unknown() && error.is_connection_lost(), "{error:?}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_commit_without_an_answer_in_time_is_not_repeated() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        db.batch_execute(
            "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return null; end $$;
             create constraint trigger slow after insert on t deferrable initially deferred
                 for each row execute function slow()",
        )
        .await
        .unwrap();
        let policy = Policy::fixed(Duration::ZERO).attempt_timeout(Duration::from_millis(200));
        let result: Result<u64, Error> =
            db.transaction(TxOptions::new().retry(policy), async |tx| insert(&tx, 1).await).await;
        let error = result.unwrap_err();
        assert!(error.is_commit_unknown() && !error.is_connection_lost(), "{error:?}");
        assert_eq!(error.to_string(), "the time was over during the commit");
        assert_eq!(count(&db).await, 1, "it was left to come to its end");
    });
}
