//! Bulk writes and reads: `COPY` in both directions, upserts and inserts of arrays.

use std::{future::poll_fn, io, pin::pin, task::Poll, time::Duration};

use evenkeel_postgres::{Database, Error, TxOptions, tokio_postgres::types::ToSql};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::harness::{TestSchema, chain, code, number, pid, run, until};

/// A database of one connection with a table.
async fn table(schema: &TestSchema) -> Database {
    let db = schema.db(1).await;
    db.batch_execute("create table t (id bigint primary key, name text, at float8)").await.unwrap();
    db
}

fn rows(count: i64) -> impl Iterator<Item = (i64, Option<String>, f64)> {
    (0..count).map(|id| (id, (id % 3 > 0).then(|| format!("name {id}")), id as f64 / 2.0))
}

const TARGET: &str = "t (id, name, at)";

#[test]
#[ignore = "real tier"]
fn rows_are_copied_in_and_out_as_they_are() {
    run(|schema| async move {
        let db = table(&schema).await;
        assert_eq!(db.copy_in(TARGET, stream::iter(rows(20_000))).await.unwrap(), 20_000);
        let back: Vec<(i64, Option<String>, f64)> = db
            .copy_out::<(i64, Option<String>, f64)>("select * from t order by id -- all")
            .try_collect()
            .await
            .unwrap();
        assert_eq!(back, rows(20_000).collect::<Vec<_>>());
        assert_eq!(db.copy_in(TARGET, stream::iter(rows(0))).await.unwrap(), 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_copy_of_a_table_needs_no_reset() {
    run(|schema| async move {
        let db = table(&schema).await;
        let before = pid(&db).await;
        db.copy_in(TARGET, stream::iter(rows(3))).await.unwrap();
        assert_eq!(db.snapshot().idle, 1, "it is back at once");
        assert_eq!(pid(&db).await, before);
    });
}

#[test]
#[ignore = "real tier"]
fn a_value_that_fits_no_column_is_told_before_anything_is_sent() {
    run(|schema| async move {
        let db = table(&schema).await;
        let before = pid(&db).await;
        let narrow = db.copy_in("t (id)", stream::iter([(1_i32,)])).await.unwrap_err();
        assert_eq!(
            chain(&narrow),
            ["row 0 cannot be encoded", "column 1 is of the type int8, which no `i32` fits"]
        );
        let few = db.copy_in(TARGET, stream::iter([(1_i64,)])).await.unwrap_err();
        assert_eq!(chain(&few)[1], "the row has 1 values, and the target 3 columns");
        let parameters: [&(dyn ToSql + Sync); 2] = [&1_i64, &2_i32];
        let wrong = db.copy_in("t (id, name)", stream::iter([&parameters[..]])).await.unwrap_err();
        assert!(matches!(wrong, Error::Encode(0, _)), "{wrong:?}");
        let target = db.copy_in("t", stream::iter([(1_i64,)])).await.unwrap_err();
        assert_eq!(
            target.to_string(),
            "`t` is not a table with its columns in parentheses, as `users (id, name)` is"
        );
        let unknown = db.copy_in("t (other)", stream::iter([(1_i64,)])).await;
        assert_eq!(code(unknown), "42703");
        assert_eq!((pid(&db).await, number(&db, "select count(*) from t").await), (before, 0));
    });
}

#[test]
#[ignore = "real tier"]
fn nothing_is_stored_of_rows_that_the_server_refuses() {
    run(|schema| async move {
        let db = table(&schema).await;
        let twice = rows(10_000).chain(rows(1));
        assert_eq!(code(db.copy_in(TARGET, stream::iter(twice)).await), "23505");
        let twice = rows(10_000).chain(rows(1));
        assert_eq!(code(db.insert_many(TARGET, "", twice).await), "23505");
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

/// The server says how many rows it has copied before it checks a constraint that is deferred, and commits.
#[test]
#[ignore = "real tier"]
fn a_copy_whose_commit_fails_is_an_error() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id int8 unique deferrable initially deferred)").await.unwrap();
        let before = pid(&db).await;
        let twice = [(1_i64,), (1,)];
        assert_eq!(code(db.copy_in("t (id)", stream::iter(twice)).await), "23505");
        let lines = stream::iter(twice.map(|(id,)| Ok::<_, io::Error>(format!("{id}\n").into())));
        assert_eq!(code(db.copy_in_bytes("copy t from stdin", lines).await), "23505");
        assert_eq!(code(db.copy_upsert("t (id)", "", stream::iter(twice)).await), "23505");
        assert_eq!(code(db.insert_many("t (id)", "", twice).await), "23505");
        assert_eq!(code(db.execute_many("insert into t values ($1)", twice).await), "23505");
        let insert = "insert into t values (1), (1) returning id";
        assert_eq!(code(db.copy_out::<(i64,)>(insert).try_collect::<Vec<_>>().await), "23505");
        let out = format!("copy ({insert}) to stdout");
        assert_eq!(code(db.copy_out_bytes(&out).try_collect::<Vec<_>>().await), "23505");
        assert_eq!((pid(&db).await, number(&db, "select count(*) from t").await), (before, 0));

        let kept = db.copy_out::<(i64,)>("insert into t values (1), (2) returning id");
        assert_eq!(kept.try_collect::<Vec<_>>().await.unwrap(), [(1,), (2,)]);
        assert_eq!((pid(&db).await, number(&db, "select count(*) from t").await), (before, 2));
    });
}

#[test]
#[ignore = "real tier"]
fn a_source_that_fails_ends_the_copy_and_the_connection_goes_on() {
    run(|schema| async move {
        let db = table(&schema).await;
        let before = pid(&db).await;
        let failing =
            || stream::iter(rows(20_000).map(Ok)).chain(stream::iter([Err(io::Error::other("torn"))]));
        let error = db.copy_in(TARGET, failing()).await.unwrap_err();
        assert_eq!(chain(&error), ["the source of the rows failed", "torn"]);
        assert_eq!((pid(&db).await, number(&db, "select count(*) from t").await), (before, 0));

        let result = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("insert into t (id) values (-1)", ()).await?;
            let failed = tx.copy_in(TARGET, failing()).await;
            assert!(matches!(failed, Err(Error::Source(_))), "{failed:?}");
            Ok::<_, Error>(())
        });
        assert!(matches!(result.await, Err(Error::Abandoned)));
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_silent_source_is_bounded() {
    run(|schema| async move {
        table(&schema).await;
        let limit = Duration::from_millis(50);
        let db = schema.builder().max(1).source_timeout(limit).connect().await.unwrap();
        let silent = stream::iter(rows(5)).chain(stream::pending());
        let error = db.copy_in(TARGET, silent).await.unwrap_err();
        assert_eq!(error.to_string(), "the source of the rows was silent for 50ms");
        let slow = stream::iter(rows(5)).then(async |row| {
            tokio::time::sleep(limit / 5).await;
            row
        });
        assert_eq!(db.copy_in(TARGET, slow).await.unwrap(), 5, "no row is late, all of them together are");
    });
}

#[test]
#[ignore = "real tier"]
fn a_dropped_copy_frees_its_connection_and_stores_nothing() {
    run(|schema| async move {
        let db = table(&schema).await;
        let copy = db.copy_in(TARGET, stream::iter(rows(100)).chain(stream::pending()));
        assert!(tokio::time::timeout(Duration::from_millis(50), copy).await.is_err());
        assert_eq!(number(&db, "select count(*) from t").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn bytes_are_copied_in_and_out() {
    run(|schema| async move {
        let db = table(&schema).await;
        let lines = (0..1_000).map(|id| Ok::<_, io::Error>(format!("{id},\"a, b\",\n").into()));
        let stored = db.copy_in_bytes("copy t from stdin (format csv)", stream::iter(lines)).await.unwrap();
        assert_eq!(stored, 1_000);
        let bytes: Vec<_> = db
            .copy_out_bytes("copy (select * from t where id < 2 order by id) to stdout (format csv, header)")
            .try_collect()
            .await
            .unwrap();
        assert_eq!(String::from_utf8(bytes.concat()).unwrap(), "id,name,at\n0,\"a, b\",\n1,\"a, b\",\n");
        let no_copy = db.copy_in_bytes("select 1", stream::empty::<io::Result<_>>()).await;
        assert!(matches!(no_copy, Err(Error::Statement(_))), "{no_copy:?}");
        let no_copy: Result<Vec<_>, _> = db.copy_out_bytes("select 1").try_collect().await;
        assert!(matches!(no_copy, Err(Error::Statement(_))), "{no_copy:?}");
        assert_eq!(number(&db, "select count(*) from t").await, 1_000);
    });
}

#[test]
#[ignore = "real tier"]
fn an_upsert_updates_what_is_there() {
    run(|schema| async move {
        let db = table(&schema).await;
        db.copy_in("t (id, name)", stream::iter([(1_i64, "old"), (2, "kept")])).await.unwrap();
        let update = "on conflict (id) do update set name = excluded.name";
        let new = || stream::iter([(1_i64, "new"), (3, "added")]);
        assert_eq!(db.copy_upsert("t (id, name)", update, new()).await.unwrap(), 2);
        assert_eq!(db.copy_upsert("t (id, name)", "on conflict do nothing", new()).await.unwrap(), 0);
        let names: Vec<(i64, String)> = db.fetch_all("select id, name from t order by id", ()).await.unwrap();
        assert_eq!(names, [(1, "new".into()), (2, "kept".into()), (3, "added".into())]);
    });
}

#[test]
#[ignore = "real tier"]
fn arrays_hold_values_of_all_kinds() {
    run(|schema| async move {
        let db = table(&schema).await;
        let kept =
            db.insert_many(TARGET, "on conflict do nothing", rows(12_001).chain(rows(5))).await.unwrap();
        assert_eq!(kept, 12_001);
        let back: Vec<(i64, Option<String>, f64)> =
            db.fetch_all("select * from t order by id", ()).await.unwrap();
        assert_eq!(back, rows(12_001).collect::<Vec<_>>());

        db.batch_execute(
            "create type \"Od\"\"d\" as enum ('a', 'b'); create table e (m \"Od\"\"d\", l int[])",
        )
        .await
        .unwrap();
        let list = db.insert_many("e (l)", "", [(vec![1_i32],)]).await.unwrap_err();
        assert_eq!(chain(&list)[1], "column 1 is an array, and `unnest` takes arrays apart");
        let text = db.insert_many("e (m)", "", std::iter::empty::<(String,)>()).await;
        assert!(matches!(text, Err(Error::Encode(0, _))), "{text:?}");
        assert_eq!(db.copy_in("e (l)", stream::iter([(vec![1_i32, 2],)])).await.unwrap(), 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_stream_that_is_dropped_frees_its_connection_soon() {
    run(|schema| async move {
        let db = schema.db(1).await;
        async fn first_ten<T>(rows: impl Stream<Item = Result<T, Error>>) {
            let mut rows = pin!(rows.take(10));
            while rows.next().await.transpose().unwrap().is_some() {}
        }
        let sql = "select generate_series(1, 3000000)";
        first_ten(db.stream::<(i32,)>(sql, ())).await;
        until("the connection is free", async || db.snapshot().in_use == 0).await;
        first_ten(db.copy_out::<(i32,)>(sql)).await;
        until("the connection is free", async || db.snapshot().in_use == 0).await;
        first_ten(db.copy_out_bytes(&format!("copy ({sql}) to stdout"))).await;
        until("the connection is free", async || db.snapshot().in_use == 0).await;
        assert_eq!(schema.backends("active").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_stream_has_all_rows_and_then_its_connection_is_free() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let before = pid(&db).await;
        let mut rows = db.stream::<(i32,)>("select generate_series(1, $1::int)", (50_000,));
        for expected in 1..=50_000 {
            assert_eq!(rows.next().await.unwrap().unwrap(), (expected,));
        }
        assert!(rows.next().await.is_none());
        assert!(rows.next().await.is_none());
        assert_eq!(pid(&db).await, before);

        let mut broken = db.stream::<(i32,)>("select 1 / (2 - n) from generate_series(0, 9) n", ());
        assert_eq!(broken.next().await.unwrap().unwrap(), (0,));
        assert_eq!(broken.next().await.unwrap().unwrap(), (1,));
        assert_eq!(code(broken.next().await.unwrap()), "22012");
        assert!(broken.next().await.is_none());
        let mut other = db.stream::<(i64,)>("select 1", ());
        assert!(matches!(other.next().await, Some(Err(Error::Decode(_)))));
        assert!(other.next().await.is_none());
    });
}

#[test]
#[ignore = "real tier"]
fn a_transaction_streams_and_copies() {
    run(|schema| async move {
        let db = table(&schema).await;
        let sum = db.transaction(TxOptions::new(), async |tx| {
            tx.copy_in(TARGET, stream::iter(rows(100))).await?;
            tx.insert_many("t (id)", "", [(100_i64,), (101,)]).await?;
            tx.copy_upsert("t (id)", "on conflict do nothing", stream::iter([(101_i64,), (102,)])).await?;
            tx.copy_upsert("t (id)", "on conflict do nothing", stream::iter([(102_i64,)])).await?;
            let ids: Vec<(i64,)> = tx.stream::<(i64,)>("select id from t", ()).try_collect().await?;
            let copied: Vec<(i64,)> = tx.copy_out::<(i64,)>("select id from t").try_collect().await?;
            assert_eq!(ids, copied);
            let count: i64 = tx.fetch_scalar("select count(*) from t", ()).await?;
            Ok::<_, Error>((ids.iter().map(|(id,)| id).sum::<i64>(), count))
        });
        assert_eq!(sum.await.unwrap(), ((0..=102).sum(), 103));

        let dropped = db.transaction(TxOptions::new(), async |tx| {
            tx.execute("delete from t", ()).await?;
            drop(tx.stream::<(i64,)>("select generate_series(1, 1000000)::bigint", ()).next().await);
            tx.execute("select 1", ()).await.map(drop)
        });
        assert!(matches!(dropped.await, Err(Error::Abandoned)));
        assert_eq!(number(&db, "select count(*) from t").await, 103);
    });
}

/// Polls a future at most so many times; `None` if it is dropped then.
pub(crate) async fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|cx| {
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
#[ignore = "real tier"]
fn bulk_writes_that_are_dropped_at_any_poll_store_all_or_nothing() {
    run(|schema| async move {
        let db = table(&schema).await;
        let update = "on conflict (id) do update set name = excluded.name";
        for (call, all) in [(0, 50), (1, 50), (2, 50), (3, 50), (4, 600)] {
            for polls in 1.. {
                let source = || stream::iter(rows(50));
                let lines = (0..50).map(|id| Ok::<_, io::Error>(format!("{id},,\n").into()));
                let stored = match call {
                    0 => cut(db.copy_in(TARGET, source()), polls).await,
                    1 => cut(db.copy_upsert(TARGET, update, source()), polls).await,
                    2 => cut(db.insert_many(TARGET, "", rows(50)), polls).await,
                    3 => {
                        let sql = "copy t from stdin (format csv)";
                        cut(db.copy_in_bytes(sql, stream::iter(lines)), polls).await
                    }
                    // More rows than are in flight at a time.
                    _ => {
                        let sql = "insert into t (id, name, at) values ($1, $2, $3)";
                        cut(db.execute_many(sql, rows(all)), polls).await
                    }
                };
                let count = number(&db, "select count(*) from t").await;
                assert!(count == 0 || count == all, "call {call} at poll {polls}: {count}");
                db.execute("delete from t", ()).await.unwrap();
                if let Some(stored) = stored {
                    assert_eq!((stored.unwrap() as i64, count), (all, all));
                    break;
                }
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn streams_that_are_dropped_at_any_poll_free_their_connection() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let sql = "select generate_series(1, 50)";
        for call in 0..3 {
            for polls in 1.. {
                let read = match call {
                    0 => cut(db.stream::<(i32,)>(sql, ()).count(), polls).await,
                    1 => cut(db.copy_out::<(i32,)>(sql).count(), polls).await,
                    _ => cut(db.copy_out_bytes(&format!("copy ({sql}) to stdout")).count(), polls).await,
                };
                assert_eq!(number(&db, "select 1::bigint").await, 1, "call {call} at poll {polls}");
                if read.is_some() {
                    break;
                }
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_listener_that_is_dropped_before_it_listens_leaves_no_connection() {
    run(|schema| async move {
        let db = schema.db(1).await;
        for polls in 1.. {
            if let Some(listener) = cut(db.listen(["jobs"]), polls).await {
                drop(listener.unwrap());
                break;
            }
        }
        schema.until_backends("%", 1).await;
    });
}
