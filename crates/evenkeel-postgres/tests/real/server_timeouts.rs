//! Timeouts of the server: each is told as what it is, and costs its user alone the connection.

use std::{io::Write as _, sync::Mutex, thread, time::Duration};

use evenkeel_postgres::{Database, Error, Policy, Prepared, SqlBatch, TxOptions};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};

use crate::harness::{TestSchema, code, number, pid, run};

#[test]
#[ignore = "real tier"]
fn a_transaction_that_takes_too_long_says_so() {
    run(|schema| async move {
        if number(&schema.admin, "select current_setting('server_version_num')::int8").await < 170_000 {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: this server has no transaction_timeout (PostgreSQL 17)"
            );
            return;
        }
        let db = schema.db_with(1, "-c transaction_timeout=100ms").await;
        db.batch_execute("create table t (n int8)").await.unwrap();
        for while_idle in [false, true] {
            let mut bodies = 0;
            let before = pid(&db).await;
            let late = db.transaction(TxOptions::new(), |tx| {
                bodies += 1;
                async move {
                    tx.execute("insert into t values (1)", ()).await?;
                    if while_idle {
                        sleep(Duration::from_millis(300)).await;
                    } else {
                        tx.execute("select pg_sleep(60)", ()).await?;
                    }
                    tx.execute("insert into t values (2)", ()).await
                }
            });
            let late: Error = late.await.unwrap_err();
            assert!(late.is_connection_lost() && !late.is_commit_unknown(), "{late:?}");
            assert_eq!(
                late.code().map(|code| code.code()),
                Some("25P04"),
                "while idle: {while_idle}: {late:?}"
            );
            assert_eq!(bodies, 1);
            assert_ne!(pid(&db).await, before);
            assert_eq!(number(&db, "select count(*) from t").await, 0);
        }
        let mut bodies = 0;
        let at_commit = db.transaction(TxOptions::new(), |tx| {
            bodies += 1;
            async move {
                tx.execute("insert into t values (1)", ()).await?;
                sleep(Duration::from_millis(300)).await;
                Ok::<_, Error>(())
            }
        });
        let at_commit = at_commit.await;
        assert_eq!(code(at_commit), "25P04");
        assert_eq!(bodies, 1);
        assert_eq!(number(&db, "select count(*) from t").await, 0);
        let single = db.execute("insert into t select 1 from pg_sleep(60)", ()).await;
        assert_eq!(code(single), "25P04");
        let many =
            db.execute_many("insert into t select $1 from pg_sleep(0.03)", (0..100_i64).map(|n| (n,))).await;
        assert_eq!(code(many), "25P04");
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

/// A statement that found its connection ended did not run, so that it is repeated; a transaction as well.
#[test]
#[ignore = "real tier"]
fn an_idle_session_that_was_ended_fails_no_call() {
    run(|schema| async move {
        let options = "-c idle_session_timeout=50ms -c idle_in_transaction_session_timeout=50ms";
        let db = schema.db_with(1, options).await;
        db.batch_execute("create table t (n int8)").await.unwrap();
        let before = pid(&db).await;
        schema.until_backends("%", 0).await;
        assert_eq!(db.execute("insert into t values (1)", ()).await.unwrap(), 1);
        assert_ne!(pid(&db).await, before);

        let mut pause = Duration::from_millis(300);
        let done = db.transaction(TxOptions::new(), |tx| {
            let pause = std::mem::take(&mut pause);
            async move {
                tx.execute("insert into t values (2)", ()).await?;
                sleep(pause).await;
                tx.execute("insert into t values (3)", ()).await
            }
        });
        assert_eq!(done.await.unwrap(), 1);
        assert_eq!(number(&db, "select count(*) from t").await, 3);
    });
}

/// The server ends an idle session while the one thread of the runtime is busy, so that the client sends before it has read why.
#[test]
#[ignore = "real tier"]
fn an_idle_session_that_ended_while_the_runtime_was_busy_fails_no_call() {
    run(|schema| async move {
        let outer = Handle::current();
        let calls = spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for prepared in [Prepared::Named, Prepared::Unnamed] {
                    for call in 0..5 {
                        let db = idle_for_50_ms(&schema, prepared).await;
                        assert_eq!(number(&db, "select 1::int8").await, 1);
                        thread::scope(|scope| {
                            let ended = scope.spawn(|| outer.block_on(schema.until_backends("%", 0)));
                            ended.join().unwrap();
                        });
                        let result = match call {
                            0 => db.execute("select 1", ()).await.map(drop),
                            1 => db.fetch_one::<(i64,)>("select 2::int8", ()).await.map(drop),
                            2 => db.batch_execute("select 1; select 2").await,
                            3 => db.batch(one_statement()).await.map(drop),
                            _ => {
                                db.transaction(TxOptions::new(), async |tx| {
                                    tx.execute("select 1", ()).await.map(drop)
                                })
                                .await
                            }
                        };
                        assert!(result.is_ok(), "{prepared:?}, call {call}: {result:?}");
                    }
                }
            });
        });
        calls.await.unwrap();
    });
}

/// A database of one connection, which the server ends when nobody has used it for 50 ms.
async fn idle_for_50_ms(schema: &TestSchema, prepared: Prepared) -> Database {
    let mut config = schema.config.clone();
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{options} -c idle_session_timeout=50ms"));
    Database::builder(config).max(1).prepared(prepared).connect().await.unwrap()
}

fn one_statement() -> SqlBatch<'static> {
    let mut batch = SqlBatch::new();
    batch.push("select 1", ());
    batch
}

/// A transaction that is idle for too long in each attempt is told why it failed.
#[test]
#[ignore = "real tier"]
fn a_transaction_that_is_always_idle_for_too_long_says_so() {
    run(|schema| async move {
        let db = schema.db_with(1, "-c idle_in_transaction_session_timeout=20ms").await;
        let policy = Policy::exponential(Duration::from_millis(1), Duration::from_millis(1)).max_attempts(2);
        let seen = Mutex::new(Vec::new());
        let given_up = db.transaction(TxOptions::new().retry(policy), async |tx| {
            tx.execute("select 1", ()).await?;
            sleep(Duration::from_millis(200)).await;
            let error = tx.execute("select 2", ()).await.unwrap_err();
            seen.lock().unwrap().push(error.code().map(|code| code.code().to_owned()));
            Err::<(), _>(error)
        });
        assert_eq!(code(given_up.await), "25P03");
        assert_eq!(seen.into_inner().unwrap(), [Some("25P03".to_owned()), Some("25P03".to_owned())]);
        assert_eq!(number(&db, "select 1::int8").await, 1);
    });
}

/// An administrator ends the backend of a transaction that is idle: the transaction says so.
#[test]
#[ignore = "real tier"]
fn an_idle_transaction_whose_backend_is_killed_says_so() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let killed = db.transaction(TxOptions::new(), async |tx| {
            let (pid,): (i32,) = tx.fetch_one("select pg_backend_pid()", ()).await?;
            schema.kill(pid).await;
            schema.until_backends("%", 0).await;
            tx.execute("select 1", ()).await
        });
        let killed: Error = killed.await.unwrap_err();
        assert!(killed.is_connection_lost(), "{killed:?}");
        assert_eq!(killed.code().map(|code| code.code()), Some("57P01"));
        assert_eq!(number(&db, "select 1::int8").await, 1);
    });
}

/// A statement timeout fails the statement alone.
#[test]
#[ignore = "real tier"]
fn a_statement_that_takes_too_long_says_so_and_keeps_its_connection() {
    run(|schema| async move {
        let db = schema.db_with(1, "-c statement_timeout=50ms -c lock_timeout=20ms").await;
        let before = pid(&db).await;
        let late = db.execute("select pg_sleep(60)", ()).await;
        assert!(late.as_ref().is_err_and(|error| !error.is_connection_lost()), "{late:?}");
        assert_eq!(code(late), "57014");
        db.execute("create table t (n int8)", ()).await.unwrap();
        let other = schema.db(1).await;
        let locked = other.transaction(TxOptions::new(), async |tx| {
            tx.execute("lock table t", ()).await?;
            Ok::<_, Error>(db.execute("insert into t values (1)", ()).await)
        });
        assert_eq!(code(locked.await.unwrap()), "55P03");
        assert_eq!(pid(&db).await, before);
    });
}
