//! Statements that end a transaction too early, and statements that do not.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use evenkeel_postgres::{Error, TxOptions};

use crate::{
    harness::{code, number, run},
    transactions::{CONFLICT, Failed, count, insert, with_table},
};

#[test]
#[ignore = "real tier"]
fn a_body_that_ends_its_transaction_gets_an_error_and_stores_nothing() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        for sql in [
            "commit",
            "rollback",
            "ABORT",
            "end",
            "commit and chain",
            "rollback and chain",
            "-- so\n/* it */ end work",
            "prepare transaction 'x'",
            "rollback; insert into t values (7, 7)",
            "insert into t values (7, 7); commit; insert into t values (8, 8)",
            "begin; rollback",
        ] {
            let swallowed: Result<(), Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    insert(&tx, 1).await?;
                    assert!(matches!(tx.batch_execute(sql).await, Err(Error::Ended)), "{sql}");
                    assert!(matches!(insert(&tx, 2).await, Err(Error::Ended)), "{sql}");
                    Ok(())
                })
                .await;
            assert!(matches!(swallowed, Err(Error::Ended)), "{sql}: {swallowed:?}");
            let single: Result<u64, Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    insert(&tx, 1).await?;
                    Ok(tx.execute(sql, ()).await.unwrap_or(0) + insert(&tx, 2).await.unwrap_or(0))
                })
                .await;
            assert!(single.is_err(), "{sql}: {single:?}");
            assert_eq!(count(&db).await, 0, "{sql}");
        }
        assert_eq!(number(&db, "select count(*) from pg_prepared_xacts").await, 0);
        assert_eq!(db.snapshot().created, 1);
    });
}

/// With this setting a backslash escapes the quote behind it, which the text does not show.
#[test]
#[ignore = "real tier"]
fn the_server_tells_that_a_transaction_is_another_one() {
    run(|schema| async move {
        with_table(&schema, 1).await;
        let db = schema.db_with(1, "-c standard_conforming_strings=off").await;
        for (sql, stored) in [
            (r"select '\'\\'; rollback; --'", 0),
            (r"select '\'\\'; rollback; select '\'\\'; begin; --'", 0),
            (r"select '\'\\'; rollback and chain; --'", 0),
            (r"select '\'\\'; commit; insert into t values (7, 7); --'", 2),
            (r"select '\'\\'; rollback; begin; savepoint s; select 1/0; --'", 0),
        ] {
            let ended: Result<(), Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    insert(&tx, 1).await?;
                    let _ = tx.batch_execute(sql).await;
                    let _ = tx.batch_execute("rollback to savepoint s").await;
                    let _ = insert(&tx, 2).await;
                    Ok(())
                })
                .await;
            assert!(matches!(ended, Err(Error::Ended)), "{sql}: {ended:?}");
            assert_eq!(count(&db).await, stored, "{sql}");
            db.batch_execute("truncate t").await.unwrap();
        }
        // The transaction is still the same.
        let whole: Result<u64, Error> = db
            .transaction(TxOptions::new(), async |tx| {
                insert(&tx, 1).await?;
                tx.batch_execute(r"savepoint s; select 'a\'; commit; --'").await?;
                assert_eq!(code(tx.batch_execute(r"select 'a\'; commit; --' / 0").await), "22P02");
                assert_eq!(code(tx.batch_execute(r"select 'a\'; commit; --'").await), "25P02");
                tx.batch_execute("rollback to savepoint s").await?;
                insert(&tx, 2).await
            })
            .await;
        whole.unwrap();
        assert_eq!(count(&db).await, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_procedure_that_commits_cannot_end_it_either() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        db.batch_execute(
            "create procedure p() language plpgsql as $$ begin insert into t values (7, 7); commit; end $$;
             create procedure q() language plpgsql as $$ begin insert into t values (8, 8); rollback; end $$",
        )
        .await
        .unwrap();
        for sql in ["call p()", "call q()", "do $$ begin commit; end $$", "do $$ begin call p(); end $$"] {
            let ended: Result<(), Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    insert(&tx, 1).await?;
                    assert_eq!(code(tx.execute(sql, ()).await), "2D000", "{sql}");
                    Ok(())
                })
                .await;
            assert!(matches!(ended, Err(Error::Aborted(_))), "{sql}: {ended:?}");
            assert_eq!(count(&db).await, 0, "{sql}");
        }
        db.execute("call p()", ()).await.unwrap();
        assert_eq!(count(&db).await, 1, "outside of one it may");
    });
}

#[test]
#[ignore = "real tier"]
fn savepoints_and_words_that_only_look_like_an_end_do_no_harm() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let whole: Result<u64, Error> = db
            .transaction(TxOptions::new(), async |tx| {
                insert(&tx, 1).await?;
                tx.batch_execute(
                    "savepoint commit; insert into t values (9, 9); rollback to savepoint commit",
                )
                .await?;
                tx.execute("release savepoint commit", ()).await?;
                tx.batch_execute(
                    "select ';commit', $$;rollback;$$ /* ;end */; select case when true then 1 end",
                )
                .await?;
                tx.batch_execute("create function f() returns int language sql begin atomic select 1; end")
                    .await?;
                tx.batch_execute("create rule r as on delete to t do also (select 1; select 2)").await?;
                tx.execute("prepare p as select 1", ()).await?;
                insert(&tx, 2).await
            })
            .await;
        whole.unwrap();
        assert_eq!(count(&db).await, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_conflict_that_was_cured_by_a_savepoint_is_not_repeated() {
    run(|schema| async move {
        let db = with_table(&schema, 1).await;
        let attempts = AtomicU32::new(0);
        let cured: Result<(), Failed> = db
            .transaction_with_error(TxOptions::new(), async |tx| {
                attempts.fetch_add(1, Relaxed);
                insert(&tx, 1).await?;
                tx.batch_execute("savepoint s").await?;
                assert_eq!(code(tx.batch_execute(CONFLICT).await), "40001");
                assert_eq!(code(insert(&tx, 2).await), "25P02");
                tx.batch_execute("rollback to savepoint s").await?;
                insert(&tx, 2).await?;
                Err(Failed::Own(3))
            })
            .await;
        assert!(matches!(cured, Err(Failed::Own(3))), "{cured:?}");
        assert_eq!((attempts.load(Relaxed), count(&db).await), (1, 0));

        // The end counts also if a later failure hides it.
        let attempts = AtomicU32::new(0);
        let covered: Result<(), Error> = db
            .transaction(TxOptions::new(), async |tx| {
                if attempts.fetch_add(1, Relaxed) == 0 {
                    assert_eq!(code(tx.batch_execute(CONFLICT).await), "40001");
                    assert_eq!(code(tx.batch_execute("selec 1").await), "42601");
                    assert_eq!(code(tx.batch_execute("rollback to savepoint none").await), "3B001");
                }
                insert(&tx, 1).await?;
                Ok(())
            })
            .await;
        covered.unwrap();
        assert_eq!((attempts.load(Relaxed), count(&db).await), (2, 1));
    });
}
