//! How do I query a database? Through a `Database`: rows as tuples or structs, many rows at once, and transactions that are
//! repeated after a conflict. `DATABASE_URL=postgres://localhost/postgres` names the server.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{env, error::Error as _};

use evenkeel_postgres::{Database, Error, TxOptions, from_row};

struct User {
    id: i64,
    name: String,
}

from_row!(User { id, name });

pub(crate) async fn scenario(db: Database) -> Result<(), Error> {
    db.execute_many("insert into users values ($1, $2)", (1..=3_i64).map(|id| (id, format!("user {id}"))))
        .await?;
    let count: i64 = db.fetch_scalar("select count(*) from users", ()).await?;
    println!("{count} users");

    let users: Vec<User> = db.fetch_all("select id, name from users order by id", ()).await?;
    for user in users {
        println!("{}: {}", user.id, user.name);
    }
    let nobody: Option<(String,)> = db.fetch_opt("select name from users where id = $1", (7_i64,)).await?;
    println!("number 7: {nobody:?}");

    // The whole body runs again if another transaction was in its way.
    let renamed = db.transaction(TxOptions::serializable(), async |tx| {
        tx.execute("update users set name = $1 where id = $2", ("Ada", 1_i64)).await?;
        let (name,): (String,) = tx.fetch_one("select name from users where id = $1", (1_i64,)).await?;
        Ok(name)
    });
    println!("number 1: {}", renamed.await?);
    if let Err(error) = db.execute("insert into users values (1, 'again')", ()).await {
        println!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Ok(url) = env::var("DATABASE_URL") else {
        println!("DATABASE_URL is not set: there is nothing to ask");
        return Ok(());
    };
    // One connection, which has the table for as long as it lives.
    let db = Database::builder_from_url(&url)?.max(1).connect().await?;
    db.batch_execute("create table if not exists users (id bigint primary key, name text not null)").await?;
    scenario(db).await
}
