//! Statements that end a transaction too early, and statements that do not.

use std::{cell::Cell, error::Error as _};

use evenkeel_postgres::{Error, Tx};
use evenkeel_testkit::World;

use crate::{
    scripted_server::{Answer, Server},
    transactions::{options, told},
};

#[test]
fn a_body_cannot_end_its_transaction() {
    World::run(async |_| {
        for sql in [
            "commit",
            "ROLLBACK",
            "/* so */ end",
            "abort and chain",
            "rollback; insert",
            "savepoint s; commit",
            "prepare transaction 'x'",
        ] {
            let server = Server::new(|_| None);
            let db = server.db();
            // Also if the body ignores the error.
            let swallowed = db.transaction(options(), async |tx| {
                tx.execute("update", ()).await?;
                let ended = tx.batch_execute(sql).await;
                assert!(matches!(ended, Err(Error::Ended)), "{ended:?}");
                let after = tx.execute("insert", ()).await;
                assert!(matches!(after, Err(Error::Ended)), "{after:?}");
                Ok(())
            });
            let error: Error = swallowed.await.unwrap_err();
            assert_eq!(error.to_string(), "a statement in the transaction was to end it, or has ended it");
            assert!(error.source().is_none() && !error.is_conflict() && !error.is_commit_unknown());
            for many in [true, false] {
                let passed_on = db.transaction(options(), async |tx| {
                    if many { tx.execute_many(sql, [()]).await } else { tx.execute(sql, ()).await }
                });
                assert!(matches!(passed_on.await, Err(Error::Ended)));
            }
            let many = db.execute_many(sql, [()]).await;
            assert!(matches!(many, Err(Error::Ended)), "{many:?}");
            let none = ["1 BEGIN", "1 ROLLBACK"].repeat(3);
            let log = server.log();
            assert_eq!(log[1..4], ["1 BEGIN", "1 update", "1 ROLLBACK"]);
            assert_eq!(log[4..], none);
            assert_eq!(db.snapshot().created, 1);
        }
        // Outside of a transaction they may run.
        let server = Server::new(|_| None);
        server.db().batch_execute("begin; insert; commit").await.unwrap();
        assert!(server.log().contains(&"1 begin; insert; commit".into()));
    });
}

/// The server is asked where the text leaves a doubt.
#[test]
fn a_transaction_that_is_another_one_afterwards_has_ended() {
    // The meaning of this text depends on a setting.
    const DOUBTFUL: &str = "select '\\'; commit; --'";
    World::run(async |_| {
        let begun_at = |times: &[i32]| {
            let mut times: Vec<i32> = times.to_vec();
            times.reverse();
            Server::new(move |sql| {
                sql.contains("transaction_timestamp").then(|| match times.pop().unwrap() {
                    0 => Answer::Refuse("25P02"),
                    time => Answer::Rows(vec![time]),
                })
            })
        };
        let body = async |tx: Tx| {
            tx.execute("update", ()).await?;
            tx.batch_execute(DOUBTFUL).await?;
            tx.batch_execute("rollback to s").await
        };
        begun_at(&[1, 1]).db().transaction(options(), body).await.unwrap();
        begun_at(&[1, 0, 1]).db().transaction(options(), body).await.unwrap();
        for times in [&[1, 2][..], &[1, 0, 2], &[0, 1]] {
            let server = begun_at(times);
            let ended = server.db().transaction(options(), body).await;
            assert!(matches!(ended, Err(Error::Ended)), "{times:?}: {ended:?}");
            assert!(!server.log().contains(&"1 COMMIT".into()));
        }
    });
}

#[test]
fn a_conflict_that_was_cured_is_not_repeated() {
    World::run(async |_| {
        for (cured, attempts) in [(true, 1), (false, 3)] {
            let server = told("update", vec![Answer::Refuse("40001"); 3]);
            let runs = Cell::new(0);
            let db = server.db();
            let failed = db.transaction(options(), async |tx| {
                runs.set(runs.get() + 1);
                assert!(tx.execute("update", ()).await.is_err());
                if cured {
                    tx.batch_execute("rollback to savepoint s").await?;
                }
                Err::<(), _>(Error::RowCount(7))
            });
            let error = failed.await.unwrap_err();
            assert_eq!(runs.get(), attempts);
            assert_eq!(matches!(error, Error::RowCount(7)), cured, "{error:?}");
        }
        // The later answer to a statement that was sent before the failure does not disprove it.
        let server = Server::new(|sql| match sql {
            "update" => Some(Answer::Refuse("40001")),
            _ => None,
        });
        let runs = Cell::new(0);
        let db = server.db();
        let failed = db.transaction(options(), async |tx| {
            runs.set(runs.get() + 1);
            tx.execute("insert", ()).await?;
            let mut before = std::pin::pin!(tx.execute("insert", ()));
            tokio::select! { biased; _ = &mut before => panic!("it has no answer yet"), () = std::future::ready(()) => {} }
            assert!(tx.execute("update", ()).await.is_err());
            before.await?;
            Err::<(), _>(Error::RowCount(7))
        });
        assert!(matches!(failed.await, Err(Error::GaveUp(_))));
        assert_eq!(runs.get(), 3);
    });
}

#[test]
fn what_ended_it_is_the_first_failure_that_was_not_cured() {
    World::run(async |_| {
        let mut conflict = true;
        let server = Server::new(move |sql| match sql {
            "update" => std::mem::take(&mut conflict).then_some(Answer::Refuse("40001")),
            // The server refuses these before it checks the state of the transaction.
            "selec 1" => Some(Answer::Refuse("42601")),
            "rollback to savepoint none" => Some(Answer::Refuse("3B001")),
            _ => None,
        });
        let runs = Cell::new(0);
        let db = server.db();
        let done = db.transaction(options(), async |tx| {
            runs.set(runs.get() + 1);
            let updated = tx.execute("update", ()).await;
            if updated.is_err() {
                assert!(tx.execute("selec 1", ()).await.is_err());
                assert!(tx.batch_execute("rollback to savepoint none").await.is_err());
            }
            updated
        });
        done.await.unwrap();
        assert_eq!(runs.get(), 2);
    });
}
