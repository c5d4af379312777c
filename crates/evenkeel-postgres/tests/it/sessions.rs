//! The statements sent between two users of a connection.

use evenkeel_postgres::{Database, TxOptions};
use evenkeel_testkit::World;

use crate::scripted_server::{Answer, Server};

const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; \
    SELECT pg_catalog.set_config('client_encoding', 'UTF8', false) \
    WHERE pg_catalog.current_setting('client_encoding') <> 'UTF8'; UNLISTEN *; \
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
    SELECT pg_catalog.quote_ident(name) AS deallocate FROM pg_catalog.pg_prepared_statements WHERE from_sql";

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
        assert_eq!(db.snapshot().created, 1);
    });
}

/// Returns the log of this call, after the connection was made and until it has returned.
async fn logged<Fut: Future>(world: &World, server: &Server, db: &Database, call: Fut) -> Vec<String> {
    call.await;
    world.settle().await;
    assert_eq!(db.snapshot().in_use, 0);
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
        assert_eq!(db.snapshot().created, 1);
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
        assert_eq!(db.snapshot().created, 1);
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
        assert_eq!((db.snapshot().created, db.snapshot().discarded), (2, 1));
    });
}

#[test]
fn what_only_looks_like_a_read_takes_one_round_trip_too() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.builder().connect().await.unwrap();
        server.log();
        let reset = format!("1 BEGIN; ROLLBACK; {RESET}");
        for sql in [
            "select 1 into temp t",
            "with x as (select 1) select * into temp t from x",
            "select set_config('a.b', 'c', false)",
            "select pg_advisory_lock(1)",
            "select my_function()",
            "insert into t values (my_function())",
            "explain analyze create temp table t ()",
        ] {
            let log = logged(&world, &server, &db, db.fetch_all::<(i32,)>(sql, ())).await;
            assert_eq!(log, [format!("1 {sql}"), reset.clone()]);
        }
        let plain = "select lower(n) from t";
        assert_eq!(logged(&world, &server, &db, db.execute(plain, ())).await, [format!("1 {plain}")]);
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
fn where_it_is_asked_for_every_session_is_reset() {
    World::run(async |world| {
        let server = Server::new(|_| None);
        let db = server.builder().reset_always().connect().await.unwrap();
        server.log();
        let reset = format!("1 BEGIN; ROLLBACK; {RESET}");
        assert_eq!(logged(&world, &server, &db, db.execute("update", ())).await, ["1 update", &reset]);
        let many = logged(&world, &server, &db, db.execute_many("insert", [()])).await;
        assert_eq!(many, ["1 BEGIN", "1 insert", "1 COMMIT", &reset]);
    });
}

#[test]
fn the_last_value_of_a_sequence_is_no_other_users() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        let db = server.db();
        let insert = "insert into t values (1)";
        for _ in 0..2 {
            db.execute(insert, ()).await.unwrap();
        }
        db.fetch_one::<(i32,)>("select lastval()", ()).await.unwrap();
        let log = server.log();
        assert_eq!(
            log[1..5],
            [&format!("1 {insert}"), &format!("1 {insert}"), "1 DISCARD SEQUENCES", "1 select lastval()"]
        );

        // In a transaction the value is its own.
        let last = async |tx: evenkeel_postgres::Tx| {
            tx.execute("update", ()).await?;
            tx.execute(insert, ()).await?;
            tx.fetch_one::<(i32,)>("select lastval()", ()).await
        };
        db.execute(insert, ()).await.unwrap();
        server.log();
        db.transaction(TxOptions::new(), last).await.unwrap();
        assert_eq!(
            server.log(),
            [
                "1 DISCARD SEQUENCES",
                "1 BEGIN",
                "1 update",
                &format!("1 {insert}"),
                "1 select lastval()",
                "1 COMMIT"
            ]
        );
        db.transaction(TxOptions::new(), last).await.unwrap();
        assert!(!server.log().contains(&"1 DISCARD SEQUENCES".into()), "it was reset before");
    });
}

#[test]
fn names_that_were_given_by_prepare_are_taken_back() {
    World::run(async |world| {
        let server = Server::new(|sql| {
            sql.contains("RESET ALL").then(|| Answer::Texts("deallocate", vec!["p", "\"Q q\""]))
        });
        let db = server.builder().connect().await.unwrap();
        server.log();
        let log = logged(&world, &server, &db, db.execute("prepare p as select 1", ())).await;
        assert_eq!(log[2..], ["1 DEALLOCATE p; DEALLOCATE \"Q q\"; "]);
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
fn a_statement_that_is_out_of_date_is_prepared_again() {
    World::run(async |_| {
        let mut fails = [true, false, true, false, true, true].into_iter();
        let server = Server::new(move |sql| {
            (sql == "select 1" && fails.next() == Some(true)).then_some(Answer::Refuse("26000"))
        });
        let db = server.db();
        assert_eq!(db.fetch_one::<(i32,)>("select 1", ()).await.unwrap(), (1,));
        assert_eq!(server.log(), ["1 begins", "1 select 1", "1 select 1"]);

        // The whole body of a transaction is repeated, once.
        let call = async |tx: evenkeel_postgres::Tx| {
            tx.execute("update", ()).await?;
            tx.fetch_one::<(i32,)>("select 1", ()).await
        };
        assert_eq!(db.transaction(TxOptions::new(), call).await.unwrap(), (1,));
        let attempt = ["1 BEGIN", "1 update", "1 select 1", "1 ROLLBACK"];
        let log = server.log();
        assert_eq!(log[..4], attempt);
        assert_eq!(log[4..], ["1 BEGIN", "1 update", "1 select 1", "1 COMMIT"]);

        let failed = db.transaction(TxOptions::new(), call).await.unwrap_err();
        assert_eq!(failed.code().map(|code| code.code()), Some("26000"));
        let log = server.log();
        assert_eq!((&log[..4], &log[4..]), (&attempt.map(String::from)[..], &attempt.map(String::from)[..]));
    });
}
