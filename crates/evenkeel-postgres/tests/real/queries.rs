//! Values that are stored and read back, and the errors if they cannot be.

use evenkeel_postgres::{
    BoxError, Error, FromRow, Prepared, SqlBatch, TxOptions,
    tokio_postgres::{Row, types::ToSql},
};
use futures::StreamExt as _;

use crate::harness::{chain, code, number, pid, run};

#[test]
#[ignore = "real tier"]
fn values_of_many_types_come_back() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let text = String::from("Ada; -- 'π'");
        let sent =
            (true, 1_i16, -2_i32, 3_i64, 0.5_f32, -0.25_f64, text.as_str(), vec![0_u8, 255], None::<i32>);
        let back: (bool, i16, i32, i64, f32, f64, String, Vec<u8>, Option<i32>) = db
            .fetch_one(
                "select $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::int4",
                sent.clone(),
            )
            .await
            .unwrap();
        let borrowed =
            (back.0, back.1, back.2, back.3, back.4, back.5, back.6.as_str(), back.7.clone(), back.8);
        assert_eq!(borrowed, sent);

        let twelve: (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) = db
            .fetch_one(
                "select $1::int, $2::int, $3::int, $4::int, $5::int, $6::int,
                        $7::int, $8::int, $9::int, $10::int, $11::int, $12::int",
                &(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
            )
            .await
            .unwrap();
        assert_eq!(twelve, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
    });
}

#[test]
#[ignore = "real tier"]
fn parameters_may_be_a_slice() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let (a, b) = (2, String::from("x"));
        let params: [&(dyn ToSql + Sync); 2] = [&a, &b];
        let back: (i32, String) = db.fetch_one("select $1::int, $2::text", &params[..]).await.unwrap();
        assert_eq!(back, (a, b));
    });
}

#[derive(Debug, PartialEq)]
struct Even(i32);

impl FromRow for Even {
    fn from_row(row: Row) -> Result<Self, BoxError> {
        let n: i32 = row.try_get("n")?;
        if n % 2 == 0 { Ok(Self(n)) } else { Err(format!("{n} is odd").into()) }
    }
}

#[test]
#[ignore = "real tier"]
fn rows_are_read_as_tuples_as_types_of_the_user_and_as_they_are() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let rows: Vec<Row> = db.fetch_all("select generate_series(1, 3) as n", ()).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get("n")).collect::<Vec<i32>>(), [1, 2, 3]);
        assert_eq!(db.fetch_one::<Even>("select 4 as n", ()).await.unwrap(), Even(4));

        let odd = db.fetch_one::<Even>("select 5 as n", ()).await.unwrap_err();
        assert_eq!(chain(&odd), ["a row is not what it was to be read as", "5 is odd"]);
        let columns = db.fetch_all::<(i32,)>("select 1, 2", ()).await.unwrap_err();
        assert_eq!(chain(&columns)[1], "the row has 2 columns, and the tuple 1");
        let null = db.fetch_one::<(i32,)>("select null::int", ()).await.unwrap_err();
        assert!(matches!(null, Error::Decode(_)), "{null:?}");
    });
}

#[test]
#[ignore = "real tier"]
fn one_row_is_one_row() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let sql = "select generate_series(1, $1)";
        let pid = pid(&db).await;
        for (rows, expected) in
            [(0, "expected one row, got 0"), (1, "1"), (3000, "expected one row, got 3000")]
        {
            let one = db.fetch_one::<(i32,)>(sql, (rows,)).await;
            assert_eq!(one.map_or_else(|error| error.to_string(), |(n,)| n.to_string()), expected);
        }
        assert_eq!(db.fetch_opt::<(i32,)>(sql, (0,)).await.unwrap(), None);
        assert_eq!(db.fetch_opt::<(i32,)>(sql, (1,)).await.unwrap(), Some((1,)));
        assert!(matches!(db.fetch_opt::<(i32,)>(sql, (2,)).await, Err(Error::RowCount(2))));
        assert_eq!(pid, crate::harness::pid(&db).await, "the connection stayed in order");
    });
}

#[test]
#[ignore = "real tier"]
fn errors_of_the_server_have_their_code_and_their_cause() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id int constraint only_once primary key)").await.unwrap();
        assert_eq!(db.execute("insert into t values ($1), ($2)", (1, 2)).await.unwrap(), 2);
        let twice = db.execute("insert into t values ($1)", (1,)).await.unwrap_err();
        assert_eq!(twice.db().and_then(|db| db.constraint()), Some("only_once"));
        assert_eq!(chain(&twice)[..2], ["a statement failed", "db error"]);
        assert!(chain(&twice)[2].contains("only_once"));
        assert!(!twice.is_conflict() && !twice.is_connection_lost());
        assert_eq!(code(db.execute("insert into t values ($1)", (1,)).await), "23505");
        assert_eq!(code(db.fetch_all::<Row>("selec 1", ()).await), "42601");
        assert_eq!(code(db.batch_execute("select 1; select 1/0; select 2").await), "22012");
    });
}

#[test]
#[ignore = "real tier"]
fn a_parameter_that_does_not_fit_is_an_error_and_no_more() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let wrong = db.fetch_one::<(i64,)>("select $1::int8", (1_i32,)).await.unwrap_err();
        assert_eq!(chain(&wrong)[..2], ["a statement failed", "error serializing parameter 0"]);
        let few = db.fetch_one::<(i64,)>("select $1::int8", ()).await.unwrap_err();
        assert_eq!(chain(&few)[1], "expected 1 parameters but got 0");
        assert_eq!(number(&db, "select 1::int8").await, 1);
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn ten_thousand_rows_are_stored_all_or_none() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id int primary key, name text not null)").await.unwrap();
        let insert = "insert into t values ($1, $2)";
        let rows = (0..10_000).map(|id| (id, format!("row {id}")));
        assert_eq!(db.execute_many(insert, rows).await.unwrap(), 10_000);
        assert_eq!(number(&db, "select count(*) from t where name = 'row ' || id").await, 10_000);

        let update = "update t set name = 'x' where id = any($1)";
        assert_eq!(db.execute_many(update, [(vec![1, 2],), (vec![-1],), (vec![3],)]).await.unwrap(), 3);
        assert_eq!(db.execute_many(insert, &[] as &[(i32, &str)]).await.unwrap(), 0);

        // The second of these rows exists already, long before the end.
        let twice = db.execute_many(insert, (0..5000).map(|n| (10_001 - n, "new"))).await.unwrap_err();
        assert!(matches!(twice, Error::Row(2, _)), "{twice:?}");
        assert_eq!(twice.to_string(), "the statement failed for row 2");
        assert_eq!(twice.code().map(|code| code.code()), Some("23505"));
        assert_eq!(number(&db, "select count(*) from t").await, 10_000);

        // The row is refused before the answers to earlier rows have arrived.
        let params: Vec<Box<dyn ToSql + Sync + Send>> =
            vec![Box::new(20_000), Box::new(20_001), Box::new("wrong"), Box::new(20_002)];
        let rows = params.iter().map(|one| [&**one as &(dyn ToSql + Sync), &"name"]);
        let rows: Vec<_> = rows.collect();
        let wrong = db.execute_many(insert, rows.iter().map(|row| &row[..])).await.unwrap_err();
        assert!(matches!(wrong, Error::Row(2, _)), "{wrong:?}");
        assert_eq!(number(&db, "select count(*) from t").await, 10_000);
        assert_eq!(code(db.execute_many("insert into nowhere values ($1)", [(1,)]).await), "42P01");
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn many_tasks_share_few_connections() {
    run(|schema| async move {
        let db = schema.db(4).await;
        db.batch_execute("create table t (id int primary key)").await.unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|id| {
                let db = db.clone();
                tokio::spawn(async move {
                    db.execute("insert into t select $1 from pg_sleep(0.002)", (id,)).await.unwrap();
                    db.fetch_one::<(i32,)>("select id from t where id = $1", (id,)).await.unwrap().0
                })
            })
            .collect();
        for (id, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), id);
        }
        assert_eq!(number(&db, "select count(*) from t").await, 100);
        assert!(schema.backends("%").await <= 4);
        assert_eq!(db.snapshot().created, db.snapshot().idle as u64, "none was lost");
    });
}

#[test]
#[ignore = "real tier"]
fn prepared_statements_are_kept_and_bounded() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let prepared = "select count(*) from pg_prepared_statements";
        for n in 0..300 {
            assert_eq!(number(&db, &format!("select {n}::int8")).await, n);
        }
        // Evicted statements are closed with the next request.
        let kept = number(&db, prepared).await;
        assert!((100..=102).contains(&kept), "{kept}");
        for _ in 0..10 {
            number(&db, prepared).await;
        }
        assert!(number(&db, prepared).await <= kept);
    });
}

#[test]
#[ignore = "real tier"]
fn a_statement_goes_on_when_its_table_was_altered() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (a int); insert into t values (1)").await.unwrap();
        let all = "select * from t";
        assert_eq!(db.fetch_one::<(i32,)>(all, ()).await.unwrap(), (1,));
        db.batch_execute("alter table t add b text default 'x'").await.unwrap();
        assert_eq!(db.fetch_one::<(i32, String)>(all, ()).await.unwrap(), (1, "x".into()));
        db.batch_execute("deallocate all").await.unwrap();
        assert_eq!(db.fetch_one::<(i32, String)>(all, ()).await.unwrap(), (1, "x".into()));
        assert_eq!(db.snapshot().created, 1);
    });
}

/// They were sent, and the client took the beginning of the copy for a wrong answer; a transaction lost its connection.
#[test]
#[ignore = "real tier"]
fn a_copy_that_has_a_call_of_its_own_is_refused() {
    run(|schema| async move {
        for prepared in [Prepared::Named, Prepared::Unnamed] {
            let db = schema.builder().max(1).prepared(prepared).connect().await.unwrap();
            db.batch_execute("drop table if exists t; create table t (n int8)").await.unwrap();
            let before = pid(&db).await;
            for sql in
                ["copy t from stdin", "copy t to stdout", "copy (select n from t) to stdout (format csv)"]
            {
                let mut batch = SqlBatch::new();
                batch.push("insert into t values (1)", ()).push(sql, ());
                let script = format!("insert into t values (1); {sql}; select 1");
                let rows: Vec<_> = db.stream::<(i64,)>(sql, ()).collect().await;
                let in_tx = db.transaction(TxOptions::new(), async |tx| {
                    let refused = tx.execute(sql, ()).await;
                    assert!(tx.batch_execute(sql).await.is_err());
                    tx.execute("insert into t values (2)", ()).await?;
                    refused
                });
                for refused in [
                    db.execute(sql, ()).await.map(drop),
                    db.fetch_all::<(i64,)>(sql, ()).await.map(drop),
                    db.execute_many(sql, [(), ()]).await.map(drop),
                    db.batch(batch).await.map(drop),
                    db.batch_execute(&script).await,
                    rows.into_iter().collect::<Result<Vec<_>, _>>().map(drop),
                    in_tx.await.map(drop),
                ] {
                    let error = refused.unwrap_err();
                    assert!(
                        matches!(error, Error::Unsupported(why) if why.contains("copy_out_bytes")),
                        "{error:?}"
                    );
                }
            }
            assert_eq!((number(&db, "select count(*) from t").await, pid(&db).await), (0, before));
            // A copy that has run by its own call is not known as a statement.
            let sql = "copy t from stdin";
            let rows = futures::stream::iter([Ok::<_, std::io::Error>("7\n".into())]);
            assert_eq!(db.copy_in_bytes(sql, rows).await.unwrap(), 1);
            assert!(matches!(db.execute(sql, ()).await, Err(Error::Unsupported(_))));
        }
    });
}

/// The number of more parameters arrives as another one, and the connection was lost.
#[test]
#[ignore = "real tier"]
fn a_statement_has_as_many_parameters_as_a_message() {
    run(|schema| async move {
        for prepared in [Prepared::Named, Prepared::Unnamed] {
            let db = schema.builder().max(1).prepared(prepared).connect().await.unwrap();
            let before = pid(&db).await;
            let values: Vec<i32> = (0..=65_535).collect();
            let sql = |count: usize| {
                let list: Vec<_> = (1..=count).map(|n| format!("${n}::int4")).collect();
                format!("select array_length(array[{}], 1)", list.join(","))
            };
            let refs: Vec<&i32> = values.iter().collect();
            assert_eq!(db.fetch_scalar::<i32>(&sql(65_535), &refs[..65_535]).await.unwrap(), 65_535);
            let too_many = sql(65_536);
            let mut batch = SqlBatch::new();
            batch.push("select 1", ()).push(&too_many, &refs);
            let rows: Vec<_> = db.stream::<(i32,)>(&too_many, &refs).collect().await;
            for refused in [
                db.fetch_scalar::<i32>(&too_many, &refs).await.map(drop),
                db.batch(batch).await.map(drop),
                rows.into_iter().collect::<Result<Vec<_>, _>>().map(drop),
            ] {
                let error = refused.unwrap_err();
                assert!(matches!(error, Error::Unsupported(why) if why.contains("65,535")), "{error:?}");
            }
            assert_eq!(pid(&db).await, before);
        }
    });
}
