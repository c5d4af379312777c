//! What it takes to hand a connection on.

use evenkeel_postgres::{Database, TxOptions};
use evenkeel_testkit::World;

use crate::wire::{Answer, Server};

const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
    SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

#[test]
fn after_orderly_use_it_takes_nothing() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        let db = server.db();
        for _ in 0..2 {
            assert_eq!(db.fetch_one::<(i32,)>("select 1", ()).await.unwrap(), (1,));
            assert_eq!(db.execute("update", ()).await.unwrap(), 1);
        }
        db.transaction(TxOptions::serializable(), async |tx| tx.execute("delete", ()).await).await.unwrap()
            as u64;
        assert_eq!(db.execute_many("insert", [(), ()]).await.unwrap(), 2);
        assert_eq!(
            server.log(),
            [
                "1 begins",
                "1 select 1",
                "1 update",
                "1 select 1",
                "1 update",
                "1 BEGIN ISOLATION LEVEL SERIALIZABLE",
                "1 delete",
                "1 COMMIT",
                "1 BEGIN",
                "1 insert",
                "1 insert",
                "1 COMMIT",
            ]
        );
        assert_eq!(db.stats().created, 1);
    });
}

/// The log of what this does, after the connection was made, and until it is back.
async fn logged<Fut: Future>(world: &World, server: &Server, db: &Database, call: Fut) -> Vec<String> {
    call.await;
    world.settle().await;
    assert_eq!(db.stats().in_use, 0);
    server.log()
}

#[test]
fn after_what_may_have_left_something_it_takes_one_round_trip() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.builder().connect().await.unwrap();
        assert_eq!(server.log(), ["1 begins"]);
        let reset = format!("1 BEGIN; ROLLBACK; {RESET}");
        let batch = logged(&world, &server, &db, db.batch_execute("create table t ()")).await;
        assert_eq!(batch, ["1 create table t ()", &reset]);
        let setting = logged(&world, &server, &db, db.execute("set a = 1", ())).await;
        assert_eq!(setting, ["1 set a = 1", &reset]);
        let many = logged(&world, &server, &db, db.execute_many("listen", [()])).await;
        assert_eq!(many, ["1 BEGIN", "1 listen", "1 COMMIT", &reset]);
        let wrong = logged(&world, &server, &db, db.execute("update $1", ("no number",))).await;
        assert_eq!(wrong, [reset.as_str()], "it was refused before it was sent");
        assert_eq!(db.stats().created, 1);
    });
}

#[test]
fn a_transaction_that_was_left_open_is_rolled_back() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.builder().connect().await.unwrap();
        server.log();
        let left = |first: &'static str| {
            let call = db.transaction(TxOptions::new(), async move |tx| {
                tx.execute(first, ()).await?;
                tokio::task::yield_now().await;
                std::future::pending::<Result<(), evenkeel_postgres::Error>>().await
            });
            tokio::time::timeout(std::time::Duration::from_secs(1), call)
        };
        assert_eq!(logged(&world, &server, &db, left("update")).await, ["1 BEGIN", "1 update", "1 ROLLBACK"]);
        let tainted = logged(&world, &server, &db, left("set a = 1")).await;
        assert_eq!(tainted, ["1 BEGIN", "1 set a = 1", &format!("1 ROLLBACK; {RESET}")]);
        assert_eq!(db.stats().created, 1);
    });
}

#[test]
fn what_cannot_be_reset_is_not_handed_on() {
    World::run(async |_| {
        let server = Server::new(|sql| match sql {
            "set a = 1" => None,
            sql if sql.contains("RESET ALL") => Some(Answer::Refuse("25P02")),
            _ => None,
        });
        let db = server.db();
        db.execute("set a = 1", ()).await.unwrap();
        db.execute("update", ()).await.unwrap();
        assert_eq!((db.stats().created, db.stats().discarded), (2, 1));
    });
}

#[test]
fn a_statement_that_is_out_of_date_is_prepared_again() {
    World::run(async |_| {
        let mut stale = false;
        let server = Server::new(move |sql| {
            stale = sql == "select 1" && !stale;
            stale.then_some(Answer::Refuse("26000"))
        });
        let db = server.db();
        assert_eq!(db.fetch_one::<(i32,)>("select 1", ()).await.unwrap(), (1,));
        assert_eq!(server.log(), ["1 begins", "1 select 1", "1 select 1"]);

        // In a transaction it is too late for that, but the next one is in order.
        let call = async |tx: evenkeel_postgres::Tx| tx.fetch_one::<(i32,)>("select 1", ()).await;
        let failed = db.transaction(TxOptions::new(), call).await.unwrap_err();
        assert_eq!(failed.code().map(|code| code.code()), Some("26000"));
        assert_eq!(server.log(), ["1 BEGIN", "1 select 1", "1 ROLLBACK"]);
    });
}
