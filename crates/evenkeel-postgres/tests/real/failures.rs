//! Connections that are lost, and connections that cannot be made.

use std::time::Duration;

use evenkeel_postgres::{
    Database, Error, GetError, TxOptions,
    tokio_postgres::{Config, Row},
};
use evenkeel_testkit::net::unused_port;
use tokio::{io::copy_bidirectional, net::TcpListener, time::sleep};

use crate::{
    harness::{chain, code, number, pid, run, until},
    tunnel::dial,
};

#[test]
#[ignore = "real tier"]
fn a_backend_that_is_killed_is_an_error_of_its_user_alone() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let victim = pid(&db).await;
        let kill = async {
            schema.until_asleep().await;
            schema.kill(victim).await;
        };
        let (lost, ()) = tokio::join!(db.execute("select pg_sleep(3600)", ()), kill);
        let lost = lost.unwrap_err();
        assert!(lost.is_connection_lost() && !lost.is_commit_unknown(), "{lost:?}");
        assert_eq!(lost.code().map(|code| code.code()), Some("57P01"));
        assert_ne!(pid(&db).await, victim);
    });
}

#[test]
#[ignore = "real tier"]
fn a_backend_that_is_killed_in_a_transaction_takes_it_along() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (n int)").await.unwrap();
        let result = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("insert into t values (1)", ()).await?;
            let (pid,) = tx.fetch_one("select pg_backend_pid()", ()).await?;
            schema.kill(pid).await;
            tx.execute("insert into t values (2)", ()).await
        });
        let lost: Error = result.await.unwrap_err();
        assert!(lost.is_connection_lost() && !lost.is_commit_unknown(), "{lost:?}");
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_backend_that_is_killed_while_idle_is_replaced() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let victim = pid(&db).await;
        schema.kill(victim).await;
        schema.until_backends("%", 0).await;
        // It may take a moment until the client sees the end of the connection.
        until("it is replaced", async || {
            db.fetch_one::<(i32,)>("select pg_backend_pid()", ()).await.is_ok_and(|(pid,)| pid != victim)
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn what_cannot_succeed_is_not_tried_again() {
    run(|schema| async move {
        let [mut wrong_name, mut wrong_user] = [schema.config.clone(), schema.config.clone()];
        wrong_name.dbname("nobody_has_this_name");
        wrong_user.user("nobody_has_this_name");
        for (config, expected) in [(wrong_name, "3D000"), (wrong_user, "28000")] {
            let error = Database::builder(config).connect().await.unwrap_err();
            assert!(matches!(&error, Error::Get(GetError::Create(why)) if why.hosts.len() == 1), "{error:?}");
            assert_eq!(error.code().map(|code| code.code()), Some(expected));
            assert_eq!(chain(&error)[0], "could not connect to the database");
            assert!(chain(&error)[1].starts_with("no connection to "), "{error:?}");
        }
        let url = Database::connect("postgres://a:b:c").await.unwrap_err();
        assert!(matches!(url, Error::Config(_)), "{url:?}");
        let zero = schema.builder().max(0).connect().await.unwrap_err();
        assert_eq!(chain(&zero)[0], "the database cannot be set up so");
    });
}

fn at(config: &Config, port: u16) -> Config {
    let mut there = Config::new();
    there.host("127.0.0.1").port(port).user(config.get_user().unwrap()).dbname(config.get_dbname().unwrap());
    config.get_password().map(|password| there.password(password));
    there
}

#[test]
#[ignore = "real tier"]
fn a_server_that_is_not_there_yet_is_waited_for() {
    run(|schema| async move {
        let port = unused_port().unwrap();
        let db = Database::builder(at(&schema.config, port)).build().unwrap();
        let server = async {
            until("it was refused", async || db.snapshot().creating == 1).await;
            sleep(Duration::from_millis(50)).await;
            let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = dial(&schema.config).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        };
        tokio::select! {
            one = number(&db, "select 1::int8") => assert_eq!(one, 1),
            () = server => panic!("the connection has ended"),
        }
        assert_eq!(db.snapshot().created, 1);
        assert!(db.snapshot().create_failures > 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_without_room_is_waited_for() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let role = format!("{}_limited", schema.name);
        db.batch_execute(&format!("create role {role} connection limit 1 login")).await.unwrap();
        let mut config = schema.config.clone();
        config.user(&role);
        let holder = Database::builder(config.clone()).max(1).connect().await.unwrap();
        let waiting = tokio::spawn(Database::builder(config).max(1).connect());
        // Only the log of the server shows the refusals.
        sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        assert!(holder.close(Duration::from_secs(30)).await.stragglers.is_empty());
        let waited = waiting.await.unwrap().unwrap();
        assert_eq!(waited.snapshot().created, 1);
        assert!(waited.close(Duration::from_secs(30)).await.stragglers.is_empty());
        db.batch_execute(&format!("drop role {role}")).await.unwrap();
    });
}

#[test]
#[ignore = "real tier"]
fn who_waits_in_vain_is_told_who_has_the_connections() {
    run(|schema| async move {
        let db = schema.builder().max(1).acquire_timeout(Duration::from_millis(50)).connect().await.unwrap();
        let line = line!() + 1;
        let holding = db.transaction(TxOptions::new(), async |_tx| {
            assert_eq!(db.holders()[0].place.line(), line);
            Ok::<_, Error>(db.execute("select 1", ()).await.unwrap_err())
        });
        let error = holding.await.unwrap();
        assert!(error.is_timeout(), "{error:?}");
        let schema = format!("held by {}:{line}:26 for ", file!());
        assert!(error.to_string().starts_with("no object within "), "{error}");
        assert!(error.to_string().contains(&schema), "{error}");
    });
}

#[test]
#[ignore = "real tier"]
fn all_calls_keep_their_place() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let first = line!() + 2;
        let calls: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 6] = [
            Box::pin(async { drop(db.execute("select pg_sleep(3600)", ()).await) }),
            Box::pin(async { drop(db.fetch_one::<Row>("select pg_sleep(3600)", ()).await) }),
            Box::pin(async { drop(db.fetch_opt::<Row>("select pg_sleep(3600)", ()).await) }),
            Box::pin(async { drop(db.fetch_all::<Row>("select pg_sleep(3600)", ()).await) }),
            Box::pin(async { drop(db.execute_many("select pg_sleep(3600)", [()]).await) }),
            Box::pin(async { drop(db.batch_execute("select pg_sleep(3600)").await) }),
        ];
        for (line, call) in (first..).zip(calls) {
            let seen = until("it has its connection", async || {
                db.holders()
                    .first()
                    .is_some_and(|holder| (holder.place.file(), holder.place.line()) == (file!(), line))
            });
            tokio::select! {
                () = call => panic!("it has ended"),
                () = seen => {}
            }
        }
        assert_eq!(code(db.execute("select 1/0", ()).await), "22012");
    });
}
