//! Transactions that are repeated, and transactions that are not.

use std::{cell::Cell, error::Error as _, time::Duration};

use evenkeel_postgres::{Error, Policy, Tx, TxOptions, tokio_postgres::types::ToSql};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::scripted_server::{Answer, Server};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Returns these answers to the first statements with this text.
pub(crate) fn told(text: &'static str, answers: impl IntoIterator<Item = Answer>) -> Server {
    let mut answers = answers.into_iter().collect::<Vec<_>>().into_iter();
    Server::new(move |sql| if sql == text { answers.next() } else { None })
}

pub(crate) fn options() -> TxOptions {
    TxOptions::new().retry(Policy::fixed(MS(50)).max_attempts(3))
}

async fn update(tx: Tx) -> Result<u64, Error> {
    tx.execute("update", ()).await
}

#[test]
fn a_conflict_is_repeated_after_the_delay_of_the_policy() {
    World::run(async |_| {
        for code in ["40001", "40P01"] {
            for text in ["update", "COMMIT"] {
                let server = told(text, [Answer::Refuse(code), Answer::Refuse(code)]);
                let db = server.db();
                assert_eq!(assert_took!(db.transaction(options(), update), MS(100)).unwrap(), 1);
                let log = server.log();
                let count = |text: &str| log.iter().filter(|line| **line == format!("1 {text}")).count();
                assert_eq!((count("BEGIN"), count("update")), (3, 3));
                assert_eq!(
                    (count("COMMIT"), count("ROLLBACK")),
                    if text == "COMMIT" { (3, 0) } else { (1, 2) }
                );
                assert_eq!(db.snapshot().created, 1);
            }
        }
    });
}

#[test]
fn the_connection_is_free_during_the_wait() {
    World::run(async |_| {
        let server = told("update", [Answer::Refuse("40001")]);
        let db = server.db();
        let other = async {
            sleep(MS(20)).await;
            assert_took!(db.execute("delete", ()), Duration::ZERO).unwrap();
        };
        let (done, ()) = tokio::join!(db.transaction(options(), update), other);
        done.unwrap();
    });
}

#[test]
fn nothing_else_is_repeated() {
    World::run(async |_| {
        for code in ["23505", "25P02", "57014", "0A000"] {
            for text in ["BEGIN", "update", "COMMIT"] {
                let server = told(text, [Answer::Refuse(code)]);
                let error =
                    assert_took!(server.db().transaction(options(), update), Duration::ZERO).unwrap_err();
                assert_eq!(error.code().map(|code| code.code()), Some(code));
                assert!(!error.is_conflict() && !error.is_commit_unknown(), "{error:?}");
            }
        }
    });
}

#[test]
fn the_last_conflict_is_the_cause_when_it_gives_up() {
    World::run(async |_| {
        let server = told("update", vec![Answer::Refuse("40P01"); 3]);
        let db = server.db();
        let error = assert_took!(db.transaction(options(), update), MS(100)).unwrap_err();
        assert_eq!(error.to_string(), "the transaction gave up after 3 attempts and 100ms: no attempts left");
        assert_eq!(error.source().unwrap().to_string(), "ERROR: as told");
        assert_eq!(error.code().map(|code| code.code()), Some("40P01"));
        assert!(error.is_conflict());
    });
}

#[test]
fn a_commit_without_an_answer_is_never_repeated() {
    World::run(async |_| {
        for (answer, code) in [
            (Answer::Cut, None),
            (Answer::End("57P01"), Some("57P01")),
            // Also with the code of a conflict, since the connection is lost.
            (Answer::End("40001"), Some("40001")),
        ] {
            let server = told("COMMIT", [answer]);
            let db = server.db();
            let error = assert_took!(db.transaction(options(), update), Duration::ZERO).unwrap_err();
            assert!(
                error.is_commit_unknown() && error.is_connection_lost() && !error.is_conflict(),
                "{error:?}"
            );
            assert_eq!(error.code().map(|code| code.code()), code);
            assert_eq!(server.log().iter().filter(|line| *line == "1 BEGIN").count(), 1);
            assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
        }
    });
}

#[test]
fn a_commit_that_was_never_sent_is_no_riddle() {
    World::run(async |_| {
        let server = told("update", [Answer::Last(Box::new(Answer::Count(1)))]);
        let db = server.db();
        let result = db.transaction(options(), async |tx| {
            tx.execute("update", ()).await?;
            sleep(MS(10)).await;
            Ok(())
        });
        let error: Error = result.await.unwrap_err();
        assert!(error.is_connection_lost() && !error.is_commit_unknown(), "{error:?}");
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
    });
}

#[test]
fn the_time_of_an_attempt_does_not_end_a_commit_but_the_wait_for_it() {
    World::run(async |_| {
        let slow = Answer::After(MS(300), Box::new(Answer::Count(0)));
        let policy = Policy::fixed(MS(50)).attempt_timeout(MS(200));
        let options = TxOptions::new().retry(policy);

        let server = told("COMMIT", [slow.clone()]);
        let error = assert_took!(server.db().transaction(options.clone(), update), MS(200)).unwrap_err();
        assert!(matches!(error, Error::CommitUnknown(None)), "{error:?}");
        assert!(!error.is_connection_lost() && error.source().is_none());

        // Before the commit the transaction is repeated.
        let server = told("update", [slow.clone()]);
        let db = server.db();
        assert_eq!(assert_took!(db.transaction(options.clone(), update), MS(250)).unwrap(), 1);

        let server = told("update", [slow.clone(), slow.clone(), slow]);
        let error = assert_took!(server.db().transaction(options, update), MS(700)).unwrap_err();
        let text = "the transaction gave up after 3 attempts and 700ms, 500ms after the first failure: no attempts left; \
            the last attempt timed out";
        assert_eq!(error.to_string(), text);
        assert!(!error.is_conflict());
    });
}

#[test]
fn a_rollback_that_hangs_ends_in_time() {
    World::run(async |_| {
        let server = told("ROLLBACK", [Answer::Never]);
        let db = server.builder().cleanup_timeout(MS(700)).build().unwrap();
        let call = db.transaction(options(), async |tx| {
            tx.execute("update", ()).await?;
            Err::<(), _>(Error::RowCount(0))
        });
        assert!(matches!(assert_took!(call, MS(700)), Err(Error::RowCount(0))));
        // The recycler has the same time once more.
        assert_took!(db.execute("update", ()), MS(700)).unwrap();
    });
}

#[test]
fn an_error_does_not_wait_for_what_was_dropped_with_it() {
    World::run(async |_| {
        let server = Server::new(|sql| match sql {
            "slow" => Some(Answer::After(Duration::from_secs(60), Box::new(Answer::Count(1)))),
            _ => None,
        });
        let db = server.db();
        let result = db.transaction(options(), async |tx| {
            let fails = async {
                sleep(MS(10)).await;
                Err::<(), _>(Error::RowCount(0))
            };
            tokio::try_join!(tx.execute("slow", ()), fails)
        });
        assert!(matches!(assert_took!(result, MS(10)), Err(Error::RowCount(0))));
    });
}

#[test]
fn what_was_before_the_transaction_does_not_count() {
    World::run(async |_| {
        let server = told("update", [Answer::Refuse("40001")]);
        let db = server.db();
        assert!(db.execute("update", ()).await.unwrap_err().is_conflict());
        db.transaction(options(), update).await.unwrap();
        let refused = db.transaction(options(), async |_tx| Err::<(), _>(Error::RowCount(0))).await;
        assert!(matches!(refused, Err(Error::RowCount(0))));
        let log = server.log();
        assert_eq!(log[2..], ["1 BEGIN", "1 update", "1 COMMIT", "1 BEGIN", "1 ROLLBACK"]);
    });
}

#[test]
fn by_itself_no_attempt_is_too_long() {
    World::run(async |_| {
        let db = Server::new(|_| None).db();
        let hour = Duration::from_secs(3600);
        let long = db.transaction(TxOptions::new(), async |tx| {
            sleep(hour).await;
            update(tx).await
        });
        assert_eq!(assert_took!(long, hour).unwrap(), 1);
    });
}

#[test]
fn an_abandoned_statement_ends_the_transaction() {
    World::run(async |_| {
        let server = told("slow", [Answer::After(Duration::from_secs(60), Box::new(Answer::Count(1)))]);
        let db = server.db();
        let result = db.transaction(options(), async |tx| {
            assert!(tokio::time::timeout(MS(10), tx.execute("slow", ())).await.is_err());
            let after = tx.fetch_all::<(i32,)>("select 1", ()).await;
            assert!(matches!(after, Err(Error::Abandoned)), "{after:?}");
            Ok(())
        });
        let result: Result<(), Error> = assert_took!(result, MS(10));
        assert_eq!(
            result.unwrap_err().to_string(),
            "a statement of the transaction was dropped before it had ended"
        );
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
        let log = server.log();
        assert!(log.contains(&"1 ROLLBACK".into()) && !log.contains(&"1 COMMIT".into()), "{log:?}");
    });
}

#[test]
fn a_handle_that_outlives_its_transaction_rolls_back_when_it_goes() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.db();
        let kept = Cell::new(None);
        let result = db.transaction(options(), async |tx| {
            tx.execute("update", ()).await?;
            kept.set(Some(tx));
            Ok(())
        });
        let result: Result<(), Error> = result.await;
        assert_eq!(result.unwrap_err().to_string(), "the transaction was kept beyond its end");
        assert_eq!(db.snapshot().in_use, 1);
        drop(kept.take());
        world.settle().await;
        assert_eq!(server.log(), ["1 begins", "1 BEGIN", "1 update", "1 ROLLBACK"]);
        assert_eq!((db.snapshot().in_use, db.snapshot().idle), (0, 1));
    });
}

#[test]
fn a_failure_that_was_taken_back_does_not_hinder_the_commit() {
    World::run(async |_| {
        let server = told("update", [Answer::Refuse("23505")]);
        let db = server.db();
        let result = db.transaction(options(), async |tx| {
            assert!(tx.execute("update", ()).await.is_err());
            tx.batch_execute("rollback to savepoint s").await
        });
        result.await.unwrap() as ();
        assert_eq!(
            server.log()[..6],
            ["1 begins", "1 BEGIN", "1 update", "1 rollback to savepoint s", "1 SELECT 1", "1 COMMIT"]
        );
    });
}

#[test]
fn a_failure_that_was_overlooked_does() {
    World::run(async |_| {
        let server = Server::new(|sql| match sql {
            "update" => Some(Answer::Refuse("23505")),
            "SELECT 1" => Some(Answer::Refuse("25P02")),
            _ => None,
        });
        let db = server.db();
        let result = db.transaction(options(), async |tx| {
            assert!(tx.execute("update", ()).await.is_err());
            Ok(())
        });
        let error: Error = result.await.unwrap_err();
        assert!(matches!(error, Error::Aborted(_)), "{error:?}");
        assert_eq!(error.code().map(|code| code.code()), Some("23505"));
        assert_eq!(server.log(), ["1 begins", "1 BEGIN", "1 update", "1 SELECT 1", "1 ROLLBACK"]);
        assert_eq!(db.snapshot().idle, 1);
    });
}

#[test]
fn the_first_row_that_fails_is_named() {
    World::run(async |_| {
        let mut rows = 0;
        let server = Server::new(move |sql| match sql {
            "insert" => {
                rows += 1;
                (rows > 700).then_some(Answer::Refuse(if rows == 701 { "23505" } else { "25P02" }))
            }
            _ => None,
        });
        let db = server.db();
        let error = db.execute_many("insert", [(); 2000]).await.unwrap_err();
        assert!(matches!(error, Error::Row(700, _)), "{error:?}");
        assert_eq!(error.code().map(|code| code.code()), Some("23505"));
        let log = server.log();
        let sent = log.iter().filter(|line| *line == "1 insert").count();
        assert_eq!(sent, 700 + 256, "256 more rows are on their way when the first one fails");
        assert_eq!(log.last().unwrap(), "1 ROLLBACK");
        assert_eq!(db.snapshot().idle, 1);
    });
}

#[test]
fn a_conflict_among_many_rows_is_repeated_with_the_transaction() {
    World::run(async |_| {
        let server = told("insert", [Answer::Count(1), Answer::Refuse("40001"), Answer::Refuse("25P02")]);
        let rows = [(); 3];
        let call = server.db();
        let call = call.transaction(options(), async |tx| tx.execute_many("insert", &rows).await);
        assert_eq!(assert_took!(call, MS(50)).unwrap(), 3);

        // By itself the call is not repeated.
        let server = told("insert", [Answer::Refuse("40001")]);
        let error = assert_took!(server.db().execute_many("insert", rows), Duration::ZERO).unwrap_err();
        assert!(error.is_conflict() && matches!(error, Error::Row(0, _)), "{error:?}");
    });
}

#[test]
fn of_two_rows_that_fail_the_first_is_named() {
    World::run(async |_| {
        let server = told("insert $1", [Answer::Count(1), Answer::Refuse("23505")]);
        let one: &(dyn ToSql + Sync) = &1;
        let rows = [[one], [one], [&"no number"], [one]];
        // The third row is refused before the answer to the second has arrived.
        let error = server.db().execute_many("insert $1", rows.iter().map(|row| &row[..])).await.unwrap_err();
        assert!(matches!(error, Error::Row(1, _)), "{error:?}");
        assert_eq!(error.code().map(|code| code.code()), Some("23505"));
    });
}

#[test]
fn the_time_of_one_attempt_counts() {
    World::run(async |_| {
        let slow = Answer::After(MS(300), Box::new(Answer::Refuse("40001")));
        let server = told("update", [slow]);
        let options =
            TxOptions::new().retry(Policy::fixed(MS(50)).max_attempts(1).attempt_timeout(Duration::MAX));
        let error = server.db().transaction(options, update).await.unwrap_err();
        assert_eq!(error.to_string(), "the transaction gave up after 1 attempt and 300ms: no attempts left");
    });
}
