//! The end of a `COPY`: refused by its commit, or before it begins.

use std::{io, pin::pin};

use evenkeel_postgres::{Database, Error, TxOptions};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::harness::{TestSchema, code, number, run};

/// Tables whose rows are checked when a transaction commits.
async fn deferred(schema: &TestSchema) -> Database {
    let db = schema.db(1).await;
    db.batch_execute(
        "create table parent (id bigint primary key);
         create table child (id bigint references parent deferrable initially deferred)",
    )
    .await
    .unwrap();
    db
}

#[test]
#[ignore = "real tier"]
fn a_copy_that_its_commit_refuses_is_an_error() {
    run(|schema| async move {
        let db = deferred(&schema).await;
        assert_eq!(code(db.copy_in("child (id)", stream::iter([(1_i64,)])).await), "23503");
        let text = stream::iter([Ok::<_, io::Error>("1\n".into())]);
        assert_eq!(code(db.copy_in_bytes("copy child from stdin", text).await), "23503");
        assert_eq!(number(&db, "select count(*) from child").await, 0);

        db.batch_execute("insert into parent values (1); insert into child values (1)").await.unwrap();
        let delete = "delete from parent returning id";
        let mut rows = pin!(db.copy_out::<(i64,)>(delete));
        assert_eq!(rows.try_next().await.unwrap(), Some((1,)));
        assert_eq!(code(rows.try_next().await), "23503");
        assert!(rows.next().await.is_none());
        let bytes = db.copy_out_bytes("copy (delete from parent returning id) to stdout");
        assert_eq!(code(bytes.try_collect::<Vec<_>>().await), "23503");
        assert_eq!(code(db.stream::<(i64,)>(delete, ()).try_collect::<Vec<_>>().await), "23503");
        assert_eq!(code(db.fetch_all::<(i64,)>(delete, ()).await), "23503");
        assert_eq!(code(db.execute(delete, ()).await), "23503");
        assert_eq!(code(db.execute_many(delete, [()]).await), "23503");
        assert_eq!(code(db.insert_many("child (id)", "", [(2_i64,)]).await), "23503");
        assert_eq!(code(db.copy_upsert("child (id)", "", stream::iter([(2_i64,)])).await), "23503");
        assert_eq!(number(&db, "select count(*) from parent").await, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn a_copy_that_does_not_begin_is_an_error_of_its_own_alone() {
    run(|schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create table t (id bigint primary key)").await.unwrap();
        db.batch_execute("create view v as select id from t group by id").await.unwrap();
        let refused =
            async || assert_eq!(code(db.copy_in("v (id)", stream::iter([(1_i64,)])).await), "42809");
        for _ in 0..20 {
            refused().await;
            // Each of these would take the answer to another statement for its own.
            assert_eq!(code(db.batch_execute("select 1 / 0").await), "22012");
            refused().await;
            assert_eq!(db.execute_many("insert into t (id) values ($1)", [(1_i64,)]).await.unwrap(), 1);
            refused().await;
            let emptied = db.transaction(TxOptions::new(), async |tx| {
                tx.execute("delete from t", ()).await?;
                tx.fetch_scalar::<i64>("select count(*) from t", ()).await
            });
            assert_eq!(emptied.await.unwrap(), 0);
            let gone_on = db.transaction(TxOptions::new(), async |tx| {
                tx.batch_execute("savepoint s").await?;
                let nowhere = stream::iter([Ok::<_, io::Error>("1\n".into())]);
                assert_eq!(code(tx.copy_in_bytes("copy nowhere from stdin", nowhere).await), "42P01");
                let again = tx.batch_execute("rollback to savepoint s").await;
                assert!(matches!(again, Err(Error::Abandoned)), "{again:?}");
                Ok::<_, Error>(())
            });
            assert!(matches!(gone_on.await, Err(Error::Abandoned)));
        }
    });
}
