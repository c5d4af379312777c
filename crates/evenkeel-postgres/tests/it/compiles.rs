//! Calls that must keep compiling: inside `tokio::spawn`, inside an `async_trait` method, with types of the user.

use async_trait::async_trait;
use evenkeel_postgres::{
    BoxError, Database, Error, FromRow, Policy, SqlBatch, Tx, TxOptions,
    tokio_postgres::{Row, types::ToSql},
};
use evenkeel_testkit::World;

use crate::scripted_server::Server;

#[derive(Debug)]
struct Count(i32);

impl FromRow for Count {
    fn from_row(row: Row) -> Result<Self, BoxError> {
        Ok(Self(row.try_get("n")?))
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug when an assertion fails")]
enum StoreError {
    Full,
    Database(Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

#[async_trait]
trait Store {
    async fn save(&self, names: &[(i32, i32)]) -> Result<i32, StoreError>;
}

async fn cursor(tx: &Tx, cursor: i32) -> Result<(), Error> {
    tx.execute("update cursor set at = $1", (cursor,)).await?;
    Ok(())
}

#[async_trait]
impl Store for Database {
    async fn save(&self, rows: &[(i32, i32)]) -> Result<i32, StoreError> {
        let options = TxOptions::serializable().retry(Policy::fixed(std::time::Duration::ZERO));
        self.transaction_with_error(options, async |tx| {
            tx.execute_many("insert into t values ($1, $2)", rows).await?;
            let mut batch = SqlBatch::new();
            for row in rows {
                batch.push("insert into u values ($1, $2)", row);
            }
            tx.batch(batch).await?;
            cursor(&tx, rows.len() as i32).await?;
            let Count(count) = tx.fetch_one("select count(*) from t", ()).await?;
            if count > 1000 { Err(StoreError::Full) } else { Ok(count) }
        })
        .await
    }
}

async fn boxed(db: Database) -> Result<i32, BoxError> {
    let sum = db
        .transaction_with_error(TxOptions::new(), async |tx| -> Result<_, BoxError> {
            let (n,): (i32,) = tx.fetch_one("select 1", ()).await?;
            let more: i32 = "41".parse()?;
            Ok(n + more)
        })
        .await?;
    let none: Option<Count> = db.fetch_opt("select 1", ()).await?;
    let all = db.fetch_all::<(i32,)>("select 1 where $1 = $2", &(1, 2)).await?;
    Ok(sum + none.map_or(0, |Count(n)| n) + all.len() as i32)
}

/// No annotation is needed, whatever the error of the caller.
async fn without_annotations<E: From<Error>>(db: &Database) -> Result<i32, E> {
    let n = db
        .transaction(TxOptions::new(), async |tx| {
            tx.execute("update t set n = $1", (1,)).await?;
            let n: i32 = tx.fetch_scalar("select 1", ()).await?;
            Ok(n)
        })
        .await?;
    let one =
        db.transaction(TxOptions::new(), async |tx| tx.fetch_scalar::<i32>("select 1", ()).await).await?;
    Ok(n + one)
}

/// The calls of tokio-postgres, with parameters of several types and with none.
async fn as_in_tokio_postgres(db: &Database) -> Result<i32, Error> {
    let (id, name) = (7_i64, String::from("Ada"));
    let mut sum = 0;
    for row in db.query("select 1 where $1 = $2", &[&1, &2]).await? {
        sum += row.get::<_, i32>(0);
    }
    sum += db.query_one("select 1", &[]).await?.get::<_, i32>("n");
    assert!(db.query_opt("select 1", &[]).await?.is_some());
    let in_tx = db.transaction(TxOptions::new(), async |tx| {
        let rows = tx.query("select 1", &[]).await?.len();
        let (one, opt) = (tx.query_one("select 1", &[]).await?, tx.query_opt("select 1", &[]).await?);
        Ok(rows as i32 + one.get::<_, i32>(0) + opt.map_or(0, |row| row.get::<_, i32>(0)))
    });
    sum += in_tx.await?;
    let params: [&(dyn ToSql + Sync); 2] = [&id, &name];
    assert!(db.execute("wrong types", &params).await.is_err());
    assert!(db.query("wrong types", &[&id, &name]).await.is_err());
    Ok(sum)
}

#[test]
fn first_guesses() {
    World::run(async |_| {
        let db = Server::new(|_| None).db();
        assert_eq!(without_annotations::<Error>(&db).await.unwrap(), 2);
        assert_eq!(without_annotations::<BoxError>(&db).await.unwrap(), 2);
        let spawned = db.clone();
        assert_eq!(
            tokio::spawn(async move { as_in_tokio_postgres(&spawned).await }).await.unwrap().unwrap(),
            5
        );
    });
}

#[test]
fn inside_spawn_and_inside_an_async_trait_method() {
    World::run(async |_| {
        let db = Server::new(|_| None).db();
        let store: Box<dyn Store + Send + Sync> = Box::new(db.clone());
        let saved = tokio::spawn(async move { store.save(&[(1, 2), (3, 4)]).await });
        assert_eq!(saved.await.unwrap().unwrap(), 1);
        assert_eq!(tokio::spawn(boxed(db)).await.unwrap().unwrap(), 44);
    });
}
