//! Poolers that give a session to others after each transaction: PgBouncer in transaction mode, and in statement mode.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use evenkeel_postgres::{
    Database, Error, PoolMode, Prepared, TxOptions,
    deadpool_postgres::Manager,
    tokio_postgres::{Config, NoTls},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    harness::{TestSchema, chain, number, run, until},
    pgbouncer::Pooler,
    test_host::{at, counting},
};

const FEW: &str = "default_pool_size = 3";

async fn table(schema: &TestSchema) -> String {
    let table = format!("{}.t", schema.name);
    let create = format!("create table {table} (id bigint primary key, name text)");
    schema.admin.batch_execute(&create).await.unwrap();
    table
}

/// Many calls of many statements over few sessions of the server: no statement is looked for where it is not.
#[test]
#[ignore = "real tier"]
fn ten_thousand_calls_of_fifty_tasks_over_three_sessions() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let table = table(&schema).await;
        let db = pooler.builder(&schema).max(20).connect().await.unwrap();
        let mut tasks = Vec::new();
        for task in 0..50_i64 {
            let (db, table) = (db.clone(), table.clone());
            tasks.push(tokio::spawn(async move {
                let insert = format!("insert into {table} (id, name) values ($1, $2) -- {}", task % 7);
                for n in 0..200_i64 {
                    let id = task * 1_000 + n;
                    match n % 4 {
                        0 => drop(db.execute(&insert, (id, "x")).await?),
                        1 => {
                            let sql = format!("select $1::bigint + {}", task % 5);
                            assert_eq!(db.fetch_scalar::<i64>(&sql, (n,)).await?, n + task % 5);
                        }
                        2 => {
                            let sql = format!("select id, name from {table} where id = $1");
                            assert!(db.fetch_opt::<(i64, String)>(&sql, (id - 2,)).await?.is_some());
                        }
                        _ => {
                            let body = async |tx: evenkeel_postgres::Tx| {
                                tx.execute(&insert, (id, "y")).await?;
                                let sql = format!("update {table} set name = $2 where id = $1");
                                tx.execute(&sql, (id, "z")).await
                            };
                            db.transaction(TxOptions::new(), body).await?;
                        }
                    }
                }
                Ok::<_, Error>(())
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(number(&schema.admin, &format!("select count(*) from {table}")).await, 5_000);
        assert_eq!(db.snapshot().discarded, 0, "no connection was lost");
        // No session of the server has a statement of ours.
        let sql = "select count(*) from pg_prepared_statements";
        for _ in 0..10 {
            assert_eq!(number(&db, sql).await, 0);
        }
    });
}

/// The text of a statement goes with each call, in the same message.
#[test]
#[ignore = "real tier"]
fn a_statement_without_a_name_takes_one_round_trip() {
    run(|schema| async move {
        let (host, turns) = counting(&schema.config).await;
        let builder = Database::builder(at(&schema.config, &[&host])).max(1);
        let db = builder.pool_mode(PoolMode::Transaction).connect().await.unwrap();
        let sql = "select $1::bigint, $2::text";
        // The first call asks for the types.
        for expected in [2, 1, 1] {
            turns.store(0, Relaxed);
            let row: (i64, String) = db.fetch_one(sql, (7_i64, "a")).await.unwrap();
            assert_eq!((row, turns.load(Relaxed)), ((7, "a".to_owned()), expected));
        }
    });
}

/// Types that the client has to ask for: it prepares statements of its own.
#[test]
#[ignore = "real tier"]
fn types_of_the_database_work_with_each_session() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let name = &schema.name;
        let create = format!(
            "create type {name}.mood as enum ('sad', 'ok'); create domain {name}.age as int;
             create type {name}.pair as (a int, m {name}.mood);
             create table {name}.m (m {name}.mood, a {name}.age, l {name}.mood[], p {name}.pair)"
        );
        schema.admin.batch_execute(&create).await.unwrap();
        let db = pooler.builder(&schema).max(4).connect().await.unwrap();
        let insert =
            format!("insert into {name}.m (m, a, l, p) values ('ok', $1::int, '{{sad}}', '(1,sad)')");
        let select = format!("select m, a, l, p, count(*) over () from {name}.m where a < $1");
        for n in 1..=20_i32 {
            let both = futures::future::join_all((0..4).map(|_| db.execute(&insert, (n,)))).await;
            assert!(both.iter().all(|one| one.as_ref().is_ok_and(|count| *count == 1)), "{both:?}");
            let rows: Vec<evenkeel_postgres::tokio_postgres::Row> =
                db.fetch_all(&select, (100_i32,)).await.unwrap();
            assert_eq!(rows.len() as i64, rows[0].get::<_, i64>(4));
            assert_eq!(rows[0].columns()[0].type_().name(), "mood");
        }
    });
}

/// Without a name nothing tells that a table has changed: the columns are those of the moment.
#[test]
#[ignore = "real tier"]
fn a_table_that_is_altered_is_read_as_it_is() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let table = table(&schema).await;
        let db = pooler.builder(&schema).max(1).connect().await.unwrap();
        let (insert, select) =
            (format!("insert into {table} values ($1, $2)"), format!("select id from {table}"));
        db.execute(&insert, (7_i64, "a")).await.unwrap();
        assert_eq!(db.fetch_scalar::<i64>(&select, ()).await.unwrap(), 7);
        let alter = format!("alter table {table} alter id type float8");
        schema.admin.batch_execute(&alter).await.unwrap();
        assert_eq!(db.fetch_scalar::<f64>(&select, ()).await.unwrap(), 7.0);
        // The parameter keeps its type, and the server converts it.
        db.execute(&insert, (8_i64, "b")).await.unwrap();
        let sum: f64 = db.fetch_scalar(&format!("select sum(id) from {table}"), ()).await.unwrap();
        assert_eq!(sum, 15.0);
        let select = format!("{select} where id = 7");
        let wrong = db.fetch_scalar::<i64>(&select, ()).await;
        assert!(matches!(wrong, Err(Error::Decode(_))), "{wrong:?}");
    });
}

#[test]
#[ignore = "real tier"]
fn each_kind_of_call_works() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let table = table(&schema).await;
        let db = pooler.builder(&schema).max(3).connect().await.unwrap();
        let target = format!("{table} (id, name)");
        let rows = |from: i64| (from..from + 1_000).map(|id| (id, "x"));
        for round in 0..5 {
            let from = round * 10_000;
            let insert = format!("insert into {table} (id, name) values ($1, $2)");
            assert_eq!(db.execute_many(&insert, rows(from)).await.unwrap(), 1_000);
            assert_eq!(db.copy_in(&target, stream::iter(rows(from + 1_000))).await.unwrap(), 1_000);
            assert_eq!(db.insert_many(&target, "", rows(from + 2_000)).await.unwrap(), 1_000);
            let update = "on conflict (id) do update set name = excluded.name";
            assert_eq!(db.copy_upsert(&target, update, stream::iter(rows(from))).await.unwrap(), 1_000);
            let select = format!("select id, name from {table}");
            let read: Vec<(i64, String)> = db.stream(&select, ()).try_collect().await.unwrap();
            let copied: Vec<(i64, String)> = db.copy_out(&select).try_collect().await.unwrap();
            assert_eq!((read.len(), copied.len()), (copied.len(), (round as usize + 1) * 3_000));
            db.batch_execute(&format!("begin; update {table} set name = 'y'; commit")).await.unwrap();
        }
        assert_eq!(db.snapshot().discarded, 0);
    });
}

/// A statement that needs the session beyond its transaction is refused before it is sent, outside of transactions and
/// in them, and does not end the transaction.
#[test]
#[ignore = "real tier"]
fn what_outlasts_a_transaction_is_refused() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let db = pooler.builder(&schema).max(1).connect().await.unwrap();
        for sql in [
            "set x.y = 'z'",
            "select set_config('x.y', 'z', false)",
            "select pg_advisory_lock(1)",
            "create temp table u (n int)",
            "prepare p as select 1",
            "listen jobs",
            "load 'auto_explain'",
            "discard all",
        ] {
            for refused in [db.execute(sql, ()).await.map(drop), db.batch_execute(sql).await] {
                let text = refused.unwrap_err().to_string();
                assert!(text.contains("outlasts its transaction"), "{sql}: {text}");
            }
            let in_tx = db.transaction(TxOptions::new(), async |tx| {
                assert!(matches!(tx.execute(sql, ()).await, Err(Error::Unsupported(_))), "{sql}");
                assert!(matches!(tx.batch_execute(sql).await, Err(Error::Unsupported(_))), "{sql}");
                tx.fetch_scalar::<i32>("select 1", ()).await
            });
            assert_eq!(in_tx.await.unwrap(), 1);
            let rows = [()];
            let many = db.execute_many(sql, rows).await;
            assert!(matches!(many, Err(Error::Unsupported(_) | Error::Statement(_))), "{sql}: {many:?}");
            let streamed = pin!(db.stream::<(i32,)>(sql, ())).next().await.unwrap();
            assert!(matches!(streamed, Err(Error::Unsupported(_))), "{sql}");
        }
        let error = db.execute("set x.y = 'z'", ()).await.unwrap_err();
        assert_eq!(
            chain(&error),
            [
                "a setting of the session outlasts its transaction, after which a pooler in transaction mode gives the \
              session to others: use `SET LOCAL` in a transaction, or set `Builder::pool_mode` if the pooler is in \
              session mode"
            ]
        );
        let listen = db.listen(["jobs"]).await.unwrap_err();
        assert!(
            matches!(listen, Error::Unsupported(text) if text.starts_with("`LISTEN` outlasts")),
            "{listen:?}"
        );
        assert!(matches!(db.execute("select lastval()", ()).await, Err(Error::Unsupported(_))));

        // The ways that the errors name.
        let within = db.transaction(TxOptions::new(), async |tx| {
            tx.batch_execute("set local x.y = 'z'; create temp table u (n serial) on commit drop").await?;
            tx.execute("select pg_advisory_xact_lock(1)", ()).await?;
            tx.execute("insert into u default values", ()).await?;
            tx.execute("select set_config('x.z', 'z', true)", ()).await?;
            tx.fetch_one::<(String, i64)>("select current_setting('x.y'), lastval()", ()).await
        });
        assert_eq!(within.await.unwrap(), ("z".to_owned(), 1));
    });
}

/// Nothing is sent to a session that is one of others by then, and what is still open is rolled back.
#[test]
#[ignore = "real tier"]
fn an_open_transaction_is_rolled_back_and_nothing_else_is_reset() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "default_pool_size = 1").await else { return };
        let table = table(&schema).await;
        let db = pooler.builder(&schema).max(1).connect().await.unwrap();
        db.batch_execute(&format!("begin; insert into {table} values (1)")).await.unwrap();
        assert_eq!(number(&db, &format!("select count(*) from {table}")).await, 0);
        // A setting of the server's session that is not ours stays.
        let own = pooler.builder(&schema).max(1).pool_mode(PoolMode::Session).connect().await.unwrap();
        own.batch_execute("do $$ begin perform set_config('other.app', 'there', false); end $$")
            .await
            .unwrap();
        drop(own);
        let set = "do $$ begin perform set_config('other.app', 'there', false); end $$";
        db.batch_execute(set).await.unwrap();
        db.batch_execute("do $$ begin end $$").await.unwrap();
        until("it is back", async || db.snapshot().in_use == 0).await;
        let there: String = db.fetch_scalar("select current_setting('other.app')", ()).await.unwrap();
        assert_eq!(there, "there");
    });
}

/// A pooler in session mode is told so: then everything works, by name.
#[test]
#[ignore = "real tier"]
fn a_pooler_in_session_mode_gives_the_whole_session() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "pool_mode = session").await else { return };
        let guarded = pooler.builder(&schema).max(1).connect().await.unwrap();
        assert!(matches!(guarded.batch_execute("set x.y = 'z'").await, Err(Error::Unsupported(_))));

        let db = pooler.builder(&schema).max(1).pool_mode(PoolMode::Session).connect().await.unwrap();
        db.batch_execute("set x.y = 'z'; create temp table u (n int)").await.unwrap();
        assert!(db.listen(["jobs"]).await.is_ok());
        let named =
            "select count(*) from pg_prepared_statements where statement like '%pg_prepared_statements%'";
        assert_eq!(number(&db, named).await, 1, "it has a name");
        let unnamed = pooler.builder(&schema).max(1).pool_mode(PoolMode::Session).prepared(Prepared::Unnamed);
        let unnamed = unnamed.connect().await.unwrap();
        assert_eq!(number(&unnamed, named).await, 0);
        unnamed.batch_execute("set x.y = 'z'").await.unwrap();
    });
}

/// In statement mode a single call works, and the pooler refuses transactions.
#[test]
#[ignore = "real tier"]
fn a_pooler_in_statement_mode_runs_single_statements() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "pool_mode = statement\ndefault_pool_size = 3").await
        else {
            return;
        };
        let table = table(&schema).await;
        let db = pooler.builder(&schema).max(6).connect().await.unwrap();
        let insert = format!("insert into {table} (id, name) values ($1, $2)");
        let all = futures::future::join_all((0..300_i64).map(|id| db.execute(&insert, (id, "x")))).await;
        assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|one| one.is_err()));
        let begun = db.transaction(TxOptions::new(), async |tx| tx.execute("select 1", ()).await);
        assert!(begun.await.is_err());
        assert_eq!(number(&db, &format!("select count(*) from {table}")).await, 300);
    });
}

/// Without a pooler in between, statements have names unless the settings say otherwise, over every way to connect.
#[test]
#[ignore = "real tier"]
fn a_server_without_a_pooler_is_recognized() {
    run(|schema| async move {
        let named =
            "select count(*) from pg_prepared_statements where statement like '%pg_prepared_statements%'";
        let db = schema.db(1).await;
        assert_eq!(number(&db, named).await, 1);
        db.batch_execute("set x.y = 'z'").await.unwrap();

        let unnamed = schema.builder().max(1).prepared(Prepared::Unnamed).connect().await.unwrap();
        assert_eq!(number(&unnamed, named).await, 0);
        unnamed.batch_execute("set x.y = 'z'").await.unwrap();

        let shared = schema.builder().max(1).pool_mode(PoolMode::Transaction).connect().await.unwrap();
        assert_eq!(number(&shared, named).await, 0);
        assert!(matches!(shared.batch_execute("set x.y = 'z'").await, Err(Error::Unsupported(_))));

        // An address without a name.
        if let Some(pooler) = Pooler::start(&schema, FEW).await {
            let mut config = Config::new();
            config.user(schema.config.get_user().unwrap()).dbname(schema.config.get_dbname().unwrap());
            config.hostaddr([127, 0, 0, 1].into()).port(pooler.host.port);
            let addressed = Database::builder(config).max(1).connect().await.unwrap();
            assert_eq!(number(&addressed, named).await, 0);
            assert!(matches!(addressed.batch_execute("set x.y = 'z'").await, Err(Error::Unsupported(_))));
        }

        let over = Database::over(Manager::new(schema.config.clone(), NoTls));
        let error = over.prepared(Prepared::Unnamed).connect().await.unwrap_err();
        assert_eq!(error.to_string(), "a database over a manager cannot have unnamed statements");
    });
}

/// A session that was not there when the statement was prepared: without a name it runs at once.
#[test]
#[ignore = "real tier"]
fn a_statement_is_not_missing_where_the_session_is_another_one() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, FEW).await else { return };
        let other = pooler.builder(&schema).max(1).connect().await.unwrap();
        let unnamed = pooler.builder(&schema).max(1).connect().await.unwrap();
        let named = pooler.builder(&schema).max(1).prepared(Prepared::Named).connect().await.unwrap();
        let sql = "select pg_backend_pid(), $1::bigint";
        let mut first = HashSet::new();
        for db in [&unnamed, &named] {
            first.insert(db.fetch_one::<(i32, i64)>(sql, (1_i64,)).await.unwrap().0);
        }
        assert_eq!(first.len(), 1, "the pooler lends the session that was used last");
        // The transaction of another client has the session.
        let held = other.transaction(TxOptions::new(), async |tx| {
            let (pid,): (i32,) = tx.fetch_one("select pg_backend_pid()", ()).await?;
            assert!(first.contains(&pid));
            let (now, sum): (i32, i64) = unnamed.fetch_one(sql, (7_i64,)).await?;
            assert_eq!((first.contains(&now), sum), (false, 7));
            // The server misses it, and it is prepared and run once more.
            let (_, sum): (i32, i64) = named.fetch_one(sql, (7_i64,)).await?;
            assert_eq!(sum, 7);
            Ok::<_, Error>(())
        });
        held.await.unwrap();
    });
}

/// A dropped call leaves nothing behind, at whatever point it is dropped.
#[test]
#[ignore = "real tier"]
fn calls_that_are_dropped_at_any_poll_leave_the_pooler_usable() {
    run(|schema| async move {
        let Some(pooler) = Pooler::start(&schema, "default_pool_size = 2").await else { return };
        let table = table(&schema).await;
        let db = Arc::new(pooler.builder(&schema).max(2).connect().await.unwrap());
        let insert = format!("insert into {table} (id, name) values ($1, $2)");
        for polls in 1.. {
            let ended = crate::bulk::cut(db.execute(&insert, (polls as i64, "x")), polls).await;
            let next = tokio::time::timeout(Duration::from_secs(10), number(&db, "select 1::bigint")).await;
            assert_eq!(next.unwrap(), 1, "at poll {polls}");
            if let Some(ended) = ended {
                assert_eq!(ended.unwrap(), 1);
                break;
            }
        }
        until("all are back", async || db.snapshot().in_use == 0).await;
        assert_eq!(number(&db, "select count(*) from pg_prepared_statements").await, 0);
    });
}

/// A request to cancel finds the session whichever way the link goes, over a Unix socket here.
#[test]
#[ignore = "real tier"]
fn a_dropped_statement_without_a_name_is_cancelled() {
    run(|schema| async move {
        let db = schema.builder().max(1).pool_mode(PoolMode::Transaction).connect().await.unwrap();
        tokio::select! {
            ended = db.execute("select pg_sleep($1)", (60.0,)) => panic!("{ended:?}"),
            () = schema.until_asleep() => {}
        }
        schema.until_backends("active", 0).await;
        assert_eq!(number(&db, "select 1::bigint").await, 1);
    });
}
