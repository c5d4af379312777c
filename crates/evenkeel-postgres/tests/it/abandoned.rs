//! Abandoned statements: cancelling them, to the millisecond.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::{Builder, Database, Error, TxOptions};
use evenkeel_testkit::{World, assert_took};
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

use crate::scripted_server::{Answer, Server};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A server whose `slow` statements take an hour.
fn slow_server() -> Server {
    Server::new(|sql| {
        sql.contains("slow").then(|| Answer::After(Duration::from_secs(3600), Box::new(Answer::Count(1))))
    })
}

async fn abandoned(db: &Database, sql: &str) {
    assert!(timeout(MS(100), db.execute(sql, ())).await.is_err());
}

#[test]
fn it_is_cancelled_at_once_and_the_next_user_has_a_connection_of_its_own() {
    World::run(async |_| {
        let server = slow_server();
        let db = server.db();
        abandoned(&db, "slow").await;
        assert_eq!((db.snapshot().in_use, db.snapshot().size), (1, 1));
        assert_took!(db.fetch_one::<(i32,)>("select 1", ()), Duration::ZERO).unwrap();
        let log = server.log();
        assert_eq!(log[..2], ["1 begins", "1 slow"]);
        assert_eq!(log[2..4], ["1 cancel", "1 "], "the empty statement waits for its end");
        assert!(log[4..].contains(&"2 select 1".into()) && log.contains(&"1 ends".into()), "{log:?}");
    });
}

#[test]
fn a_request_that_has_no_effect_is_repeated() {
    World::run(async |_| {
        let mut deaf = true;
        // The server ignores requests to cancel before 50 ms.
        let server = Server::new(move |_| {
            let heeds = Answer::After(Duration::from_secs(3600), Box::new(Answer::Count(1)));
            std::mem::take(&mut deaf).then(|| Answer::Pause(MS(150), Box::new(heeds)))
        });
        let db = server.db();
        abandoned(&db, "slow").await;
        // The requests are 20, 40 and 80 ms apart.
        assert_took!(db.execute("update", ()), MS(20 + 40)).unwrap();
        let cancels = server.log().iter().filter(|line| *line == "1 cancel").count();
        assert_eq!(cancels, 3);
    });
}

#[test]
fn what_cannot_be_cancelled_is_given_up_in_time() {
    World::run(async |_| {
        let server = Server::new(|sql| (sql == "stuck").then_some(Answer::Never));
        let db = server.db();
        abandoned(&db, "stuck").await;
        assert_took!(db.execute("update", ()), Duration::from_secs(5)).unwrap();

        let db = server.builder().cleanup_timeout(MS(700)).build().unwrap();
        abandoned(&db, "stuck").await;
        assert_took!(db.execute("update", ()), MS(700)).unwrap();
    });
}

#[test]
fn it_is_cancelled_also_where_there_is_no_limit_of_time() {
    World::run(async |_| {
        let server = slow_server();
        let db = server.builder().max(1).cleanup_timeout(Duration::MAX).build().unwrap();
        abandoned(&db, "slow").await;
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
        assert_eq!(server.log()[1..4], ["1 slow", "1 cancel", "1 "]);
    });
}

#[test]
fn a_request_that_hangs_or_fails_holds_nobody_up() {
    World::run(async |_| {
        let half_a_second =
            |sql: &str| sql.contains("slow").then(|| Answer::After(MS(600), Box::new(Answer::Count(1))));
        let hangs = Server::new(half_a_second);
        let db = hangs.builder().cancel_with(|_| std::future::pending()).build().unwrap();
        abandoned(&db, "slow").await;
        assert_took!(db.execute("update", ()), MS(500)).unwrap();

        let fails = Server::new(half_a_second);
        // The connection has no address, so the default has nowhere to send a request.
        let db = fails.builder().cancel_with(|token| async move {
            token.cancel_query(evenkeel_postgres::tokio_postgres::NoTls).await
        });
        let db = db.build().unwrap();
        abandoned(&db, "slow").await;
        assert_took!(db.execute("update", ()), MS(500)).unwrap();
        assert!(!fails.log().contains(&"1 cancel".into()));
    });
}

#[test]
fn a_panic_of_the_request_costs_the_connection() {
    World::builder().allow_panics(1).run(async |_| {
        let server = slow_server();
        let request = |_| -> std::future::Ready<_> { panic!("meant") };
        let db = server.builder().cancel_with(request).build().unwrap();
        abandoned(&db, "slow").await;
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
        assert_eq!(db.snapshot().discarded, 1);
    });
}

#[test]
fn a_commit_is_not_cancelled() {
    World::run(async |_| {
        let server =
            Server::new(|sql| (sql == "COMMIT").then(|| Answer::After(MS(300), Box::new(Answer::Count(0)))));
        let db = server.db();
        let call = db.transaction(TxOptions::new(), async |tx| tx.execute("update", ()).await);
        let call: Result<Result<u64, Error>, _> = timeout(MS(100), call).await;
        assert!(call.is_err());
        assert_took!(db.execute("update", ()), MS(200)).unwrap();
        let log = server.log();
        assert_eq!(log[..5], ["1 begins", "1 BEGIN", "1 update", "1 COMMIT", "1 "]);
        assert!(!log.contains(&"1 cancel".into()));
    });
}

#[test]
fn in_a_transaction_it_is_rolled_back() {
    World::run(async |_| {
        let server = slow_server();
        let db = server.db();
        let call = db.transaction(TxOptions::new(), async |tx| tx.execute("slow", ()).await);
        let call: Result<Result<u64, Error>, _> = timeout(MS(100), call).await;
        assert!(call.is_err());
        assert_took!(db.execute("update", ()), Duration::ZERO).unwrap();
        assert_eq!(server.log()[..5], ["1 begins", "1 BEGIN", "1 slow", "1 cancel", "1 ROLLBACK"]);
    });
}

#[test]
fn the_last_handle_takes_the_cleaning_along() {
    World::run(async |world| {
        let server = slow_server();
        let db = server.db();
        abandoned(&db, "slow").await;
        drop(db);
        world.settle().await;
        let log = server.log();
        assert_eq!(log[..3], ["1 begins", "1 slow", "1 cancel"], "it is cancelled all the same");
        assert!(log.contains(&"1 ends".into()), "{log:?}");
    });
}

/// Requests that reach the server after this time. Counts those that have ended, or were dropped.
fn slow_requests(server: &Server, time: Duration) -> (Builder, [Arc<AtomicU32>; 2]) {
    struct Dropped(Arc<AtomicU32>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    let counts = [Arc::<AtomicU32>::default(), Arc::default()];
    let (server, [ended, dropped]) = (server.clone(), counts.clone());
    let builder = server.clone().builder().cancel_with(move |token| {
        let (server, ended, dropped) = (server.clone(), Arc::clone(&ended), Dropped(Arc::clone(&dropped)));
        async move {
            let _dropped = dropped;
            sleep(time).await;
            ended.fetch_add(1, Relaxed);
            server.cancel(token).await
        }
    });
    (builder, counts)
}

/// PgBouncer drops a request whose link is closed before it has passed it on.
#[test]
fn a_request_on_its_way_ends_when_the_last_handle_is_dropped() {
    World::run(async |_| {
        let server = slow_server();
        let (builder, [ended, _]) = slow_requests(&server, MS(300));
        let db = builder.build().unwrap();
        abandoned(&db, "slow").await;
        sleep(MS(100)).await;
        drop(db);
        sleep(MS(199)).await;
        assert_eq!((ended.load(Relaxed), server.log()), (0, vec!["1 begins".into(), "1 slow".into()]));
        sleep(MS(2)).await;
        assert_eq!((ended.load(Relaxed), &server.log()[..1]), (1, &["1 cancel".to_owned()][..]));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(ended.load(Relaxed), 1, "there is no second one");
    });
}

/// One request may overtake the statement.
#[test]
fn requests_are_repeated_also_when_the_last_handle_is_dropped() {
    World::run(async |_| {
        let mut deaf = true;
        let server = Server::new(move |_| {
            let heeds = Answer::After(Duration::from_secs(3600), Box::new(Answer::Count(1)));
            std::mem::take(&mut deaf).then(|| Answer::Pause(MS(150), Box::new(heeds)))
        });
        let db = server.db();
        abandoned(&db, "slow").await;
        drop(db);
        sleep(MS(20 + 40 + 1)).await;
        let log = server.log();
        assert_eq!(log.iter().filter(|line| *line == "1 cancel").count(), 3, "{log:?}");
        assert!(log.contains(&"1 ends".into()), "{log:?}");
    });
}

#[test]
fn a_request_that_hangs_ends_in_time_when_the_last_handle_is_dropped() {
    World::run(async |_| {
        let server = slow_server();
        let (builder, [ended, dropped]) = slow_requests(&server, Duration::from_secs(3600));
        let db = builder.cleanup_timeout(MS(400)).build().unwrap();
        abandoned(&db, "slow").await;
        drop(db);
        sleep(MS(799)).await;
        assert_eq!(dropped.load(Relaxed), 0);
        sleep(MS(2)).await;
        assert_eq!((ended.load(Relaxed), dropped.load(Relaxed)), (0, 1));
    });
}

/// The statement ends long before the request does.
#[test]
fn a_database_is_closed_after_its_requests() {
    World::run(async |_| {
        let server = Server::new(|sql| {
            sql.contains("slow").then(|| Answer::After(MS(150), Box::new(Answer::Count(1))))
        });
        let (builder, [ended, _]) = slow_requests(&server, MS(300));
        let db = builder.build().unwrap();
        abandoned(&db, "slow").await;
        let closed = assert_took!(db.close(Duration::from_secs(5)), MS(300));
        assert_eq!((closed.stragglers.len(), ended.load(Relaxed)), (0, 1));

        let (builder, _) = slow_requests(&server, Duration::from_secs(3600));
        let db = builder.build().unwrap();
        abandoned(&db, "slow").await;
        drop(assert_took!(db.close(MS(700)), MS(700)));
    });
}

/// The stream is all that is left of the database.
#[test]
fn a_stream_that_outlives_its_database_is_cancelled() {
    World::run(async |world| {
        let server = slow_server();
        let db = server.db();
        let mut rows = Box::pin(db.stream::<(i32,)>("slow", ()));
        assert!(timeout(MS(100), rows.next()).await.is_err());
        drop(db);
        drop(rows);
        world.settle().await;
        assert_eq!(server.log()[..3], ["1 begins", "1 slow", "1 cancel"]);
    });
}

#[test]
fn it_may_be_dropped_outside_of_the_runtime_and_after_it() {
    let server = slow_server();
    let db = server.builder().max(2).build().unwrap();
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (first, second) = (runtime(), runtime());
    let mut calls = [&first, &second].map(|runtime| {
        let mut call = Box::pin(db.execute("slow", ()));
        runtime.block_on(async { assert!(timeout(MS(100), &mut call).await.is_err()) });
        Some(call)
    });
    drop(calls[0].take());
    assert_eq!(db.snapshot().in_use, 2);
    first.block_on(async { assert_took!(db.execute("update", ()), Duration::ZERO).unwrap() });
    assert_eq!(db.snapshot().in_use, 1);
    drop(second);
    drop(calls[1].take());
    assert_eq!(db.snapshot().in_use, 0);
}
