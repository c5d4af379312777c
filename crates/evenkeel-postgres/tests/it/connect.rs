//! Connections that are not made at the first attempt.

use std::{error::Error as _, time::Duration};

use evenkeel_postgres::{Error, GetError, TxOptions};
use evenkeel_testkit::{World, assert_took, took};

use crate::{
    mock::chain,
    scripted_server::{Answer, Greeting, Server},
};

fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source()).collect()
}

const SECS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn a_server_that_is_not_ready_is_asked_again() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        let not_ready = ["57P03", "53300", "57P01", "57P02"].map(Greeting::Refuse);
        server.greet(not_ready.into_iter().chain([Greeting::NoListener]));
        let (db, time) = took(server.builder().connect()).await;
        let db = db.unwrap();
        // The pauses are at most 50, 100, 200, 400 and 800 ms.
        assert!(time > Duration::from_millis(775) && time <= Duration::from_millis(1555), "{time:?}");
        assert_eq!((db.snapshot().created, db.snapshot().create_failures), (1, 5));
    });
}

#[test]
fn what_cannot_succeed_is_an_error_at_once() {
    World::run(async |_| {
        for code in ["28P01", "28000", "3D000", "42704"] {
            let server = Server::new(|_| None);
            server.greet([Greeting::Refuse(code)]);
            let error = assert_took!(server.builder().connect(), Duration::ZERO).unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some(code));
            let Error::Get(GetError::Create(why)) = &error else { panic!("{error:?}") };
            assert_eq!(why.to_string(), "no connection to the server");
            assert_eq!(error.source().unwrap().to_string(), "no connection to the server");
            assert_eq!(chain(&error).last().unwrap(), "FATAL: as told");
        }
    });
}

#[test]
fn a_server_that_never_comes_is_told_with_the_cause_and_within_the_time() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        server.greet([Greeting::NoListener; 1000]);
        let db = server.builder().acquire_timeout(SECS(12)).connect_timeout(SECS(3)).build().unwrap();
        let (error, time) = took(db.execute("update", ())).await;
        let error = error.unwrap_err();
        assert_eq!(time, SECS(12));
        assert!(error.is_timeout() && db.snapshot().create_failures > 12, "{:?}", db.snapshot());
        let text = "could not create an object: no connection to the server: ";
        assert!(chain(&error).join(": ").contains(text), "{error:?}");
        let cause =
            causes(&error).into_iter().find_map(|cause| cause.downcast_ref::<std::io::Error>()).unwrap();
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_server_that_does_not_answer_is_asked_again() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        server.greet([Greeting::Silence]);
        let (db, time) = took(server.builder().connect_timeout(SECS(3)).connect()).await;
        db.unwrap();
        assert!(time >= SECS(3) && time <= SECS(3) + Duration::from_millis(100), "{time:?}");
    });
}

#[test]
fn a_pool_without_patience_fills_all_the_same() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.builder().acquire_timeout(Duration::ZERO).build().unwrap();
        assert!(db.execute("update", ()).await.unwrap_err().is_timeout());
        world.settle().await;
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
    });
}

#[test]
fn a_connection_that_is_lost_is_replaced() {
    World::run(async |_| {
        for end in [Answer::Cut, Answer::End("57P01")] {
            let code = if let Answer::End(code) = end { Some(code) } else { None };
            let server = Server::new(move |sql| (sql == "select 0").then(|| end.clone()));
            let db = server.db();
            let lost = db.fetch_one::<(i32,)>("select 0", ()).await.unwrap_err();
            assert!(lost.is_connection_lost(), "{lost:?}");
            assert_eq!(lost.code().map(|code| code.code()), code);
            assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
            assert_eq!((db.snapshot().created, db.snapshot().discarded), (2, 1));
            assert!(!server.log().contains(&"1 cancel".into()), "there is nothing left to cancel");
        }
    });
}

#[test]
fn a_connection_that_is_lost_while_idle_is_not_handed_out() {
    World::run(async |world| {
        let mut first = true;
        let last = Answer::Last(Box::new(Answer::Count(1)));
        let server = Server::new(move |_| std::mem::take(&mut first).then(|| last.clone()));
        let db = server.db();
        for created in [1, 2] {
            db.execute("update", ()).await.unwrap();
            world.settle().await;
            assert_eq!((db.snapshot().created, db.snapshot().idle), (created, 1));
        }
    });
}

#[test]
fn who_waits_in_vain_is_told_who_has_the_connections() {
    World::run(async |_| {
        let server = Server::new(|_| Some(Answer::Never));
        let db = server.builder().acquire_timeout(SECS(2)).cleanup_timeout(SECS(1)).build().unwrap();
        let line = line!() + 1;
        let (first, second) = tokio::join!(tokio::time::timeout(SECS(3), db.execute("stuck", ())), async {
            tokio::task::yield_now().await;
            assert_took!(db.execute("update", ()), SECS(2)).unwrap_err()
        });
        assert!(first.is_err());
        assert!(second.is_timeout() && !second.is_closed() && second.source().is_none());
        let place = format!("{}:{line}:77", file!());
        assert_eq!(second.to_string(), format!("no object within 2s: 1 of 1 in use; held by {place} for 2s"));

        assert_eq!(db.close(Duration::ZERO).await.stragglers.len(), 1);
        assert!(assert_took!(db.close(SECS(9)), SECS(1)).stragglers.is_empty());
        let closed = db.execute("update", ()).await.unwrap_err();
        assert!(closed.is_closed() && !closed.is_timeout());
        assert_eq!(closed.to_string(), "the database is closed");
    });
}

/// Failures that may pass in a moment: of the server, a pooler, the resolver, and of the wrong role.
#[test]
fn what_passes_is_waited_for() {
    let pooler = |text| Greeting::Pooler("08P01", text);
    let other = std::io::ErrorKind::Other;
    for greeting in [
        Greeting::Refuse("57P05"),
        Greeting::Refuse("25P03"),
        Greeting::Refuse("08006"),
        pooler("no more connections allowed (max_client_conn)"),
        pooler("no more connections allowed"),
        pooler("query_wait_timeout"),
        pooler("server conn crashed?"),
        pooler("server login has been failing, try again later (server_login_retry)"),
        pooler("client_login_timeout (server down)"),
        Greeting::Pooler("53300", "too many"),
        Greeting::Fails(other, "failed to lookup address information: Temporary failure in name resolution"),
        Greeting::Fails(other, "failed to lookup address information: Try again"),
        Greeting::Fails(std::io::ErrorKind::PermissionDenied, "database does not allow writes"),
        Greeting::Fails(std::io::ErrorKind::PermissionDenied, "database is not read only"),
    ] {
        World::run(async |_| {
            let server = Server::new(|_| None);
            server.greet([greeting; 3]);
            let (db, time) = took(server.builder().connect()).await;
            assert_eq!(db.unwrap().snapshot().create_failures, 3, "{greeting:?}");
            assert!(time <= Duration::from_millis(353), "{greeting:?}: {time:?}");
        });
    }
}

#[test]
fn what_does_not_pass_is_told_at_once() {
    let pooler = |text| Greeting::Pooler("08P01", text);
    let other = std::io::ErrorKind::Other;
    for greeting in [
        Greeting::Refuse("08P01"),
        pooler("no such user: u"),
        pooler("no such database: d"),
        pooler("password authentication failed"),
        pooler("unsupported startup parameter: x"),
        pooler("bouncer config error"),
        Greeting::Pooler("28P01", "SASL authentication failed"),
        Greeting::Fails(other, "failed to lookup address information: Name or service not known"),
        Greeting::Fails(std::io::ErrorKind::NotFound, "no such file"),
    ] {
        World::run(async |_| {
            let server = Server::new(|_| None);
            server.greet([greeting]);
            let (error, time) = took(server.builder().connect()).await;
            assert_eq!(time, Duration::ZERO, "{greeting:?}");
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Get(GetError::Create(_))), "{greeting:?}: {error:?}");

            // For any number of waiters.
            server.greet([greeting; 10]);
            let db = server.db();
            let call = |db: evenkeel_postgres::Database| async move { took(db.execute("update", ())).await };
            for caller in (0..100).map(|_| tokio::spawn(call(db.clone()))).collect::<Vec<_>>() {
                let (result, time) = caller.await.unwrap();
                let error = result.unwrap_err();
                assert_eq!(time, Duration::ZERO, "{greeting:?}");
                assert!(matches!(error, Error::Get(GetError::Create(_))), "{greeting:?}: {error:?}");
            }
        });
    }
}

/// A caller that runs out of time gets the failures of the attempts, also while one of them still goes on.
#[test]
fn the_cause_of_a_timeout_is_in_its_chain() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        server.greet([Greeting::Refuse("53300"); 100]);
        let db = server.builder().acquire_timeout(SECS(2)).build().unwrap();
        let error = assert_took!(db.execute("update", ()), SECS(2)).unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(error.code().map(|code| code.code()), Some("53300"));
        let chain = chain(&error);
        assert_eq!(
            chain[1..],
            ["could not create an object", "no connection to the server", "db error", "FATAL: as told"]
        );

        let server = Server::new(|_| None);
        server.greet([Greeting::Silence]);
        let db = server.builder().acquire_timeout(SECS(2)).build().unwrap();
        let error = assert_took!(db.execute("update", ()), SECS(2)).unwrap_err();
        let cause = "no connection to the server: no answer within 2s";
        assert_eq!(error.source().unwrap().to_string(), cause);
        assert!(error.to_string().ends_with("1 being created"), "{error}");
    });
}

/// A pooler ends the link with an error without the field for the severity: the link is not used again.
#[test]
fn a_link_that_a_pooler_has_cut_is_not_used_again() {
    World::run(async |_| {
        for (code, text) in [
            ("08P01", "query_wait_timeout"),
            ("08P01", "server conn crashed?"),
            ("57P01", "the database is paused"),
        ] {
            let server = Server::new(move |sql| (sql == "select 0").then_some(Answer::Pooler(code, text)));
            let db = server.db();
            let lost = db.fetch_one::<(i32,)>("select 0", ()).await.unwrap_err();
            assert!(lost.is_connection_lost(), "{lost:?}");
            assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
            assert_eq!((db.snapshot().created, db.snapshot().discarded), (2, 1));
        }
    });
}

/// The server ended an idle connection while the statement was being sent: it has not run, and is repeated.
#[test]
fn what_the_server_did_not_begin_is_run_on_another_connection() {
    World::run(async |_| {
        for code in ["57P05", "25P03"] {
            let mut ended = false;
            let server = Server::new(move |sql| {
                (sql.ends_with('0') && !std::mem::replace(&mut ended, sql.ends_with('0')))
                    .then_some(Answer::End(code))
            });
            let db = server.db();
            let (one,): (i32,) = db.fetch_one("select 0", ()).await.unwrap();
            assert_eq!((one, db.snapshot().created), (1, 2));
        }
        // The repetition is bounded: if every connection ends at once, its error is returned. Each takes 10 ms to end.
        let server = Server::new(|_| Some(Answer::End("57P05")));
        let db = server.builder().acquire_timeout(SECS(5)).build().unwrap();
        let (error, time) = took(db.execute("update", ())).await;
        assert_eq!(error.unwrap_err().code().map(|code| code.code()), Some("57P05"));
        assert!(time >= SECS(5) && time < SECS(7), "{time:?}");
        let attempts = server.log().iter().filter(|line| line.ends_with("update")).count();
        assert!((8..16).contains(&attempts), "{attempts}");
    });
}

#[test]
fn every_call_is_run_again() {
    World::run(async |_| {
        type Call = Box<dyn Fn(evenkeel_postgres::Database) -> std::pin::Pin<Box<dyn Future<Output = bool>>>>;
        let calls: [Call; 6] = [
            Box::new(|db| Box::pin(async move { db.fetch_one::<(i32,)>("select 1", ()).await.is_ok() })),
            Box::new(|db| Box::pin(async move { db.fetch_opt::<(i32,)>("select 1", ()).await.is_ok() })),
            Box::new(|db| Box::pin(async move { db.fetch_all::<(i32,)>("select 1", ()).await.is_ok() })),
            Box::new(|db| Box::pin(async move { db.execute("update", ()).await.is_ok() })),
            Box::new(|db| Box::pin(async move { db.execute_many("insert", [()]).await.is_ok() })),
            Box::new(|db| Box::pin(async move { db.batch_execute("create").await.is_ok() })),
        ];
        for call in calls {
            let mut first = true;
            let server = Server::new(move |_| std::mem::take(&mut first).then_some(Answer::End("57P05")));
            let db = server.db();
            assert!(call(db.clone()).await);
            assert_eq!(db.snapshot().created, 2);
        }
    });
}

/// After a server has become a standby, one refused write retires all connections of the pool.
#[test]
fn a_server_that_refuses_writes_retires_all_connections_to_it() {
    World::run(async |_| {
        let standby = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let server = Server::new({
            let standby = std::sync::Arc::clone(&standby);
            move |sql| {
                let refused = sql == "insert" && standby.load(std::sync::atomic::Ordering::Relaxed);
                let slow = Answer::After(SECS(1), Box::new(Answer::Rows(vec![1])));
                if refused { Some(Answer::Refuse("25006")) } else { (sql == "select slow").then_some(slow) }
            }
        });
        let db = server.builder().max(3).build().unwrap();
        let slow = || db.fetch_one::<(i32,)>("select slow", ());
        let (a, b, c) = tokio::join!(slow(), slow(), slow());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!((db.snapshot().idle, db.snapshot().created), (3, 3));

        standby.store(true, std::sync::atomic::Ordering::Relaxed);
        // One connection is in use meanwhile, and closed when it returns.
        let (slow, refused) = tokio::join!(slow(), db.execute("insert", ()));
        assert!(slow.is_ok());
        assert_eq!(refused.unwrap_err().code().map(|code| code.code()), Some("25006"));
        standby.store(false, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..30 {
            db.execute("insert", ()).await.unwrap();
        }
        assert_eq!((db.snapshot().created, db.snapshot().discarded), (4, 3));

        // In a read-only transaction the same error is expected.
        let read_only = TxOptions::new().read_only();
        standby.store(true, std::sync::atomic::Ordering::Relaxed);
        let refused: Result<u64, Error> =
            db.transaction(read_only, async |tx| tx.execute("insert", ()).await).await;
        assert!(refused.is_err());
        assert_eq!((db.snapshot().idle, db.snapshot().created), (1, 4));
        db.fetch_one::<(i32,)>("select 1", ()).await.unwrap();
        assert_eq!(db.snapshot().created, 4);
    });
}

/// The server has ended an idle transaction and rolled it back: it is repeated.
#[test]
fn a_transaction_that_was_idle_for_too_long_is_run_again() {
    World::run(async |_| {
        for at in ["BEGIN", "update", "COMMIT"] {
            let mut first = true;
            let server = Server::new(move |sql| {
                (sql == at && std::mem::take(&mut first)).then_some(Answer::End(if at == "BEGIN" {
                    "57P05"
                } else {
                    "25P03"
                }))
            });
            let db = server.db();
            let mut runs = 0;
            let done = db.transaction(TxOptions::new(), |tx| {
                runs += 1;
                async move { tx.execute("update", ()).await }
            });
            assert_eq!(done.await.unwrap_or_else(|error: Error| panic!("{at}: {error:?}")), 1);
            assert_eq!((runs, db.snapshot().created), (if at == "BEGIN" { 1 } else { 2 }, 2), "{at}");
        }
    });
}
