//! The next call does not see what an earlier one has left in the session.

use evenkeel_postgres::{Database, Error, Tx, TxOptions};

use crate::harness::{code, number, pid, run};

/// Checks that the connection is the same one, and that this is true in it.
async fn holds(db: &Database, pid_before: i32, sql: &str) {
    let (pid, so): (i32, bool) = db.fetch_one(&format!("select pg_backend_pid(), {sql}"), ()).await.unwrap();
    assert!(so, "not so: {sql}");
    assert_eq!(pid, pid_before, "reset, and not made again");
}

#[test]
#[ignore = "real tier"]
fn an_open_transaction_is_rolled_back() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (n int)").await.unwrap();
        let pid = pid(&db).await;
        db.batch_execute("begin; insert into t values (1)").await.unwrap();
        holds(&db, pid, "pg_current_xact_id_if_assigned() is null").await;
        db.execute("begin", ()).await.unwrap();
        db.execute("insert into t values (2)", ()).await.unwrap();
        assert_eq!(number(&db, "select count(*) from t").await, 1, "the one that was not in the transaction");
    });
}

#[test]
#[ignore = "real tier"]
fn a_failed_transaction_is_not_handed_on() {
    run(|schema| async move {
        let db = schema.db(1).await;
        assert_eq!(code(db.batch_execute("begin; select 1; select 1/0").await), "22012");
        assert_eq!(number(&db, "select 1::int8").await, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn settings_roles_and_what_else_a_session_keeps_are_reset() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let pid = pid(&db).await;
        for (sql, holds_after) in [
            ("set statement_timeout = 12345", "current_setting('statement_timeout') <> '12345ms'"),
            ("set role pg_read_all_data", "current_user = session_user"),
            ("create temp table leak (n int)", "to_regclass('pg_temp.leak') is null"),
            ("listen jobs", "not exists (select pg_listening_channels())"),
            (
                "declare c cursor with hold for select 1",
                "not exists (select from pg_cursors where name = 'c')",
            ),
        ] {
            db.execute(sql, ()).await.unwrap();
            holds(&db, pid, holds_after).await;
            db.batch_execute(sql).await.unwrap();
            holds(&db, pid, holds_after).await;
        }
        db.batch_execute("select pg_advisory_lock(7)").await.unwrap();
        holds(
            &db,
            pid,
            "not exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())",
        )
        .await;
        holds(&db, pid, &format!("current_schema = '{}'", schema.name)).await;
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn inside_a_transaction_it_is_so_as_well() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let pid = pid(&db).await;
        let opinion = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("set statement_timeout = 12345", ()).await?;
            tx.fetch_one("select current_setting('statement_timeout')", ()).await
        });
        let opinion: Result<(String,), Error> = opinion.await;
        assert_eq!(opinion.unwrap().0, "12345ms");
        holds(&db, pid, "current_setting('statement_timeout') <> '12345ms'").await;
    });
}

#[test]
#[ignore = "real tier"]
fn the_last_value_of_a_sequence_is_that_of_its_user() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id serial, n int default 0)").await.unwrap();
        let pid = pid(&db).await;
        let last = "select lastval()";
        for sql in
            ["insert into t values (default)", "insert into t (n) values (1)", "select nextval('t_id_seq')"]
        {
            db.execute(sql, ()).await.unwrap();
            assert_eq!(code(db.fetch_one::<(i64,)>(last, ()).await), "55000", "{sql}");
            db.execute(sql, ()).await.unwrap();
            assert_eq!(
                code(db.batch_execute("select 1; select currval('t_id_seq')").await),
                "55000",
                "{sql}"
            );
            db.execute(sql, ()).await.unwrap();
            let own: Result<(i64, i64), Error> = db
                .transaction(TxOptions::new(), async |tx: Tx| {
                    tx.execute("update t set n = 1", ()).await?;
                    let (id,): (i32,) = tx.fetch_one("insert into t (n) values (1) returning id", ()).await?;
                    Ok((i64::from(id), tx.fetch_one::<(i64,)>(last, ()).await?.0))
                })
                .await;
            let (id, last_value) = own.unwrap();
            assert_eq!(id, last_value);
            let others: Result<(), Error> = db
                .transaction(TxOptions::new().read_only(), async |tx: Tx| {
                    tx.fetch_one::<(i64,)>("select count(*) from t", ()).await?;
                    assert_eq!(code(tx.fetch_one::<(i64,)>(last, ()).await), "55000");
                    Err(Error::RowCount(0))
                })
                .await;
            assert!(matches!(others, Err(Error::RowCount(0))));
        }
        assert_eq!(crate::harness::pid(&db).await, pid);
    });
}

#[test]
#[ignore = "real tier"]
fn what_is_cleared_of_others_does_not_fix_the_snapshot_of_a_transaction() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id serial)").await.unwrap();
        db.execute("insert into t default values", ()).await.unwrap();
        let seen: Result<(i64,), Error> = db
            .transaction(TxOptions::new(), async |tx: Tx| {
                tx.batch_execute("set transaction isolation level serializable").await?;
                tx.fetch_one("select count(*) from t", ()).await
            })
            .await;
        assert_eq!(seen.unwrap(), (1,));

        // The lock is taken before the snapshot, which therefore has everything that was committed before.
        db.execute("insert into t default values", ()).await.unwrap();
        let seen: Result<(i64,), Error> = db
            .transaction(TxOptions::repeatable_read(), async |tx: Tx| {
                schema.admin.batch_execute(&format!("insert into {}.t default values", schema.name)).await?;
                tx.batch_execute("lock table t").await?;
                tx.fetch_one("select count(*) from t", ()).await
            })
            .await;
        assert_eq!(seen.unwrap(), (3,));
    });
}
