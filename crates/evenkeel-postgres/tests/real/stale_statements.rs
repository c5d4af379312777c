//! Stale prepared statements: tables and types have changed.

use std::{
    error::Error as StdError,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use evenkeel_postgres::{
    Database, Error, Tx, TxOptions,
    tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, private::BytesMut, to_sql_checked},
};
use tokio::sync::Barrier;

use crate::harness::{TestSchema, code, number, pid, run};

/// Bytes for a value of any type.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A mood, sad or glad. Like a derived type, it accepts only an enum with these labels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Glad;

fn is_mood(ty: &Type) -> bool {
    matches!(ty.kind(), Kind::Enum(labels) if *labels == ["sad", "glad"])
}

impl ToSql for Glad {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        "glad".to_sql(&Type::TEXT, out)
    }

    fn accepts(ty: &Type) -> bool {
        is_mood(ty)
    }

    to_sql_checked!();
}

impl FromSql<'_> for Glad {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        if raw == b"glad" { Ok(Self) } else { Err("it is sad".into()) }
    }

    fn accepts(ty: &Type) -> bool {
        is_mood(ty)
    }
}

async fn with_table(schema: &TestSchema, max: usize) -> Database {
    let db = schema.db(max).await;
    db.batch_execute("create table t (n int); insert into t values (1)").await.unwrap();
    db
}

/// Runs a statement in a transaction, and returns the number of attempts.
async fn attempts<Fut>(db: &Database, mut body: impl FnMut(Tx) -> Fut) -> u32
where
    Fut: Future<Output = Result<(), Error>>,
{
    let attempts = AtomicU32::new(0);
    let done = db.transaction(TxOptions::new(), |tx| {
        attempts.fetch_add(1, Relaxed);
        body(tx)
    });
    done.await.unwrap();
    attempts.load(Relaxed)
}

#[test]
#[ignore = "real tier"]
fn a_parameter_whose_column_has_another_type_now() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        let pid = pid(&db).await;
        let insert = "insert into t values ($1)";
        db.execute(insert, (2_i32,)).await.unwrap();

        admin.batch_execute("alter table t alter n type int8").await.unwrap();
        db.execute(insert, (3_i64,)).await.unwrap();

        admin.batch_execute("alter table t alter n type text").await.unwrap();
        // The mistake is found before anything is sent, so the transaction goes on.
        let once = attempts(&db, async |tx| {
            tx.execute(insert, ("4",)).await?;
            Ok(())
        });
        assert_eq!(once.await, 1);

        admin.batch_execute("alter table t alter n type int4 using n::int4").await.unwrap();
        assert_eq!(db.execute_many(insert, [(5_i32,), (6,)]).await.unwrap(), 2);

        admin.batch_execute("alter table t alter n type int8").await.unwrap();
        let many = attempts(&db, async |tx| {
            assert_eq!(tx.execute_many(insert, [(7_i64,), (8,)]).await?, 2);
            Ok(())
        });
        assert_eq!(many.await, 1);
        assert_eq!(number(&db, "select sum(n)::int8 from t").await, (1..=8).sum::<i64>());

        // A value that never fitted is reported as before.
        let wrong = db.execute(insert, ("9",)).await.unwrap_err();
        assert!(
            wrong.source().unwrap().to_string().starts_with("error serializing parameter 0"),
            "{wrong:?}"
        );
        assert_eq!(crate::harness::pid(&db).await, pid);
    });
}

#[test]
#[ignore = "real tier"]
fn a_parameter_that_the_server_cannot_use_any_more() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        let find = "select count(*) from t where n = $1";
        let one = || (Raw(1_i32.to_be_bytes().to_vec()),);
        assert_eq!(db.fetch_one::<(i64,)>(find, one()).await.unwrap(), (1,));
        // There is no `uuid = integer`: 42883.
        let to_uuid = "alter table t alter n type uuid using lpad(n::text, 32, '0')::uuid";
        admin.batch_execute(to_uuid).await.unwrap();
        let uuid = || (Raw(1_u128.to_be_bytes().to_vec()),);
        assert_eq!(db.fetch_one::<(i64,)>(find, uuid()).await.unwrap(), (1,));

        admin.batch_execute("alter table t alter n type int using 1").await.unwrap();
        let twice = attempts(&db, async |tx| {
            assert_eq!(tx.fetch_one::<(i64,)>(find, one()).await?, (1,));
            Ok(())
        });
        assert_eq!(twice.await, 2);
    });
}

#[test]
#[ignore = "real tier"]
fn a_table_with_other_columns() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        let all = "select * from t";
        let returning = "insert into t (n) values ($1) returning *";
        assert_eq!(db.fetch_one::<(i32,)>(all, ()).await.unwrap(), (1,));
        assert_eq!(db.execute_many(returning, [(2,), (3,)]).await.unwrap(), 2);

        admin.batch_execute("alter table t add b text default 'x'").await.unwrap();
        let twice = attempts(&db, async |tx| {
            tx.execute("delete from t where n = 2", ()).await?;
            tx.fetch_all::<(i32, String)>(all, ()).await?;
            Ok(())
        });
        assert_eq!(twice.await, 2);
        assert_eq!(number(&db, "select count(*) from t").await, 2, "it was deleted once");

        admin.batch_execute("alter table t add c text").await.unwrap();
        assert_eq!(
            db.execute_many(returning, (4..1000).map(|n| (n,))).await.unwrap(),
            996,
            "at the first go"
        );

        admin.batch_execute("alter table t drop c").await.unwrap();
        let twice = attempts(&db, async |tx| {
            assert_eq!(tx.execute_many(returning, [(0,), (-1,)]).await?, 2);
            Ok(())
        });
        assert_eq!(twice.await, 2);
        assert_eq!(number(&db, "select count(*) from t").await, 1000);

        // A body that goes back to a savepoint is not repeated.
        db.fetch_all::<(i32, String)>(all, ()).await.unwrap();
        admin.batch_execute("alter table t add c text").await.unwrap();
        let saved = attempts(&db, async |tx| {
            tx.batch_execute("savepoint s").await?;
            assert_eq!(code(tx.fetch_all::<(i32, String)>(all, ()).await), "0A000");
            tx.batch_execute("rollback to savepoint s").await?;
            Ok(())
        });
        assert_eq!(saved.await, 1);
        // A lasting mistake is reported after the second attempt.
        admin.batch_execute("alter table t drop b").await.unwrap();
        let (count, gone) = (AtomicU32::new(0), "select n from t where b = 'x'");
        let failed: Result<(), Error> = db
            .transaction(TxOptions::new(), async |tx| {
                count.fetch_add(1, Relaxed);
                tx.execute(gone, ()).await?;
                Ok(())
            })
            .await;
        assert_eq!((code(failed), count.load(Relaxed)), ("42703".to_owned(), 1), "it was never right");
    });
}

#[test]
#[ignore = "real tier"]
fn a_table_that_was_made_again() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        let sql = "select n from t where n = $1";
        db.fetch_opt::<(i32,)>(sql, (1,)).await.unwrap();
        admin.batch_execute("drop table t").await.unwrap();
        for _ in 0..2 {
            assert_eq!(code(db.fetch_opt::<(i32,)>(sql, (1,)).await), "42P01");
        }
        admin.batch_execute("create table t (n int8)").await.unwrap();
        assert_eq!(db.fetch_opt::<(i64,)>(sql, (1_i64,)).await.unwrap(), None);
    });
}

#[test]
#[ignore = "real tier"]
fn types_that_were_made_again() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        let pair = |a: i32| {
            let field = |n: i32| [&23_i32.to_be_bytes()[..], &4_i32.to_be_bytes(), &n.to_be_bytes()].concat();
            Raw([&2_i32.to_be_bytes()[..], &field(a), &field(2)].concat())
        };
        let glad = || Raw(b"glad".to_vec());
        let number_ = || Raw(1_i32.to_be_bytes().to_vec());
        for (name, definition, value) in [
            ("mood", "type mood as enum ('glad')", &glad as &(dyn Fn() -> Raw + Sync)),
            ("pair", "type pair as (a int, b int)", &|| pair(1)),
            ("pos", "domain pos as int check (value > 0)", &number_),
        ] {
            let (create, drop) = (format!("create {definition}"), {
                let kind = definition.split(' ').next().unwrap();
                format!("drop {kind} {name} cascade")
            });
            admin.batch_execute(&create).await.unwrap();
            let sql = format!("select count(*) from t where $1::{name} is not null");
            let store = format!("insert into u values ($1::{name})");
            let table = format!("create table u (v {name})");
            admin.batch_execute(&table).await.unwrap();
            let again = async || {
                admin.batch_execute(&format!("{drop}; drop table u; {create}; {table}")).await.unwrap();
            };
            let run = async |tx: Tx| {
                tx.execute(&sql, (value(),)).await?;
                tx.execute(&store, (value(),)).await?;
                Ok(())
            };
            for _ in 0..3 {
                db.execute(&sql, (value(),)).await.unwrap();
                db.execute(&store, (value(),)).await.unwrap();
                again().await;
            }
            attempts(&db, run).await;
            again().await;
            assert_eq!(attempts(&db, run).await, 2, "{name}");
            assert_eq!(number(&db, "select count(*) from u").await, 1);
            assert_eq!(attempts(&db, run).await, 1, "{name}");
            again().await;
            assert_eq!(db.execute_many(&store, [(value(),), (value(),)]).await.unwrap(), 2);
            admin.batch_execute(&format!("{drop}; drop table u")).await.unwrap();
        }
    });
}

#[test]
#[ignore = "real tier"]
fn an_enum_with_another_label() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 1).await, schema.db(1).await);
        admin.batch_execute("create type mood as enum ('sad'); create table m (v mood)").await.unwrap();
        let (give, take) = ("insert into m values ($1)", "select v from m");
        db.fetch_opt::<(Glad,)>(take, ()).await.unwrap();
        for _ in 0..2 {
            let early = db.execute(give, (Glad,)).await.unwrap_err();
            assert!(early.code().is_none(), "{early:?}");
        }
        admin.batch_execute("alter type mood add value 'glad'").await.unwrap();
        db.execute(give, (Glad,)).await.unwrap();
        assert_eq!(db.execute_many(give, [(Glad,), (Glad,)]).await.unwrap(), 2);
        assert_eq!(db.fetch_all::<(Glad,)>(take, ()).await.unwrap(), [(Glad,); 3]);

        // The same with the types of columns.
        admin
            .batch_execute(
                "drop table m; drop type mood; create type mood as enum ('sad'); create table m (v mood)",
            )
            .await
            .unwrap();
        db.fetch_opt::<(Glad,)>(take, ()).await.unwrap();
        admin.batch_execute("alter type mood add value 'glad'").await.unwrap();
        admin.batch_execute("insert into m values ('glad')").await.unwrap();
        assert_eq!(db.fetch_opt::<(Glad,)>(take, ()).await.unwrap(), Some((Glad,)));
        let wrong = db.fetch_opt::<(i32,)>(take, ()).await.unwrap_err();
        assert!(matches!(wrong, Error::Decode(_)), "{wrong:?}");
    });
}

/// One of two connections finds the change, and the other one fails in no transaction.
#[test]
#[ignore = "real tier"]
fn one_failure_tells_the_whole_pool() {
    run(|schema| async move {
        let (db, admin) = (with_table(&schema, 2).await, schema.db(1).await);
        let all = "select * from t";
        for columns in 1..4 {
            let both = Barrier::new(2);
            let attempted = AtomicU32::new(0);
            let one = || {
                db.transaction(TxOptions::new(), async |tx| {
                    attempted.fetch_add(1, Relaxed);
                    both.wait().await;
                    let rows = tx.fetch_all::<evenkeel_postgres::tokio_postgres::Row>(all, ()).await?;
                    Ok::<_, Error>(rows[0].len())
                })
            };
            let (first, second) = tokio::join!(one(), one());
            assert_eq!((first.unwrap(), second.unwrap()), (columns, columns));
            assert_eq!(attempted.load(Relaxed), 2);
            admin.batch_execute(&format!("alter table t add c{columns} int")).await.unwrap();
            // A single call is repeated.
            db.execute(all, ()).await.unwrap();
        }
        assert_eq!(db.snapshot().created, 2);
    });
}

/// The client looks up types by statements of its own, and does not notice when they are gone.
#[test]
#[ignore = "real tier"]
fn a_session_that_has_lost_all_its_statements() {
    run(|schema| async move {
        let admin = with_table(&schema, 1).await;
        admin
            .batch_execute("create type one as enum ('glad'); create type two as enum ('glad')")
            .await
            .unwrap();
        let glad = || (Raw(b"glad".to_vec()),);
        let (one, two) = ("select count(*) from t where $1::one is null", "select $1::two is null");
        for discard in ["deallocate all", "discard all"] {
            let db = schema.db(1).await;
            db.fetch_one::<(i64,)>(one, glad()).await.unwrap();
            db.batch_execute(discard).await.unwrap();
            // The type is known already.
            db.fetch_one::<(i64,)>(one, glad()).await.unwrap();
            let twice = attempts(&db, async |tx| {
                tx.fetch_one::<(bool,)>(two, glad()).await?;
                Ok(())
            });
            assert_eq!(twice.await, 2, "{discard}");
            assert_eq!(
                db.snapshot().created,
                2,
                "only another connection can tell of a type that is not known"
            );

            // A call outside of a transaction moves to another connection, too.
            let insert = "insert into t (n) select 1 where $1::two is not null";
            for many in [false, true] {
                let db = schema.db(1).await;
                db.fetch_one::<(i64,)>(one, glad()).await.unwrap();
                db.batch_execute(discard).await.unwrap();
                if many {
                    assert_eq!(db.execute_many(insert, [glad(), glad()]).await.unwrap(), 2, "{discard}");
                } else {
                    assert_eq!(db.execute(insert, glad()).await.unwrap(), 1, "{discard}");
                }
                assert_eq!(db.snapshot().created, 2, "{discard}");
            }
        }
    });
}
