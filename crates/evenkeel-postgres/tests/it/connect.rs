//! Connections that are not made at the first attempt.

use std::error::Error as _;
use std::time::Duration;

use evenkeel_postgres::{Error, GetError};
use evenkeel_testkit::{World, assert_took, took};

use crate::wire::{Answer, Greeting, Server};

const SECS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn a_server_that_is_not_ready_is_asked_again() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        let not_ready = ["57P03", "53300", "57P01", "57P02"].map(Greeting::Refuse);
        server.greet(not_ready.into_iter().chain([Greeting::Nobody]));
        let (db, time) = took(server.builder().connect()).await;
        let db = db.unwrap();
        // 100, 200, 400, 800 and 1600 ms at most.
        assert!(time > Duration::ZERO && time <= Duration::from_millis(3100), "{time:?}");
        assert_eq!((db.stats().created, db.stats().create_failures), (1, 0));
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
            assert_eq!(why.to_string(), "gave up after 1 attempt and 0ns: the error is permanent");
            assert_eq!(error.source().unwrap().to_string(), why.to_string());
        }
    });
}

#[test]
fn a_server_that_never_comes_is_told_with_the_cause_and_within_the_time() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        server.greet([Greeting::Nobody; 1000]);
        let db = server.builder().acquire_timeout(SECS(12)).connect_timeout(SECS(3)).build().unwrap();
        let (error, time) = took(db.execute("update", ())).await;
        let error = error.unwrap_err();
        // No wait is longer than 2 s, and none is begun that would end too late.
        assert!(time > SECS(10) && time <= SECS(12), "{time:?}");
        let Error::Get(GetError::Create(why)) = &error else { panic!("{error:?}") };
        assert!(why.attempts > 5, "{why}");
        let cause = why.last.as_ref().unwrap().source().unwrap().downcast_ref::<std::io::Error>().unwrap();
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
            assert_eq!((db.stats().created, db.stats().discarded), (2, 1));
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
            assert_eq!((db.stats().created, db.stats().idle), (created, 1));
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
