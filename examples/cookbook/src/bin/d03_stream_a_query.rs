//! How do I read a large result without holding it in memory? As a stream, which has a connection for as long as it lives;
//! the server finds rows as fast as they are read. `DATABASE_URL=postgres://localhost/postgres` names the server.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::env;

use evenkeel_postgres::{Database, Error};
use evenkeel_stream::{Batch, prelude::*};
use futures::{StreamExt as _, TryStreamExt as _};

pub(crate) async fn scenario(db: Database) -> Result<(), Error> {
    let mut sum = 0;
    let mut numbers = db.stream::<(i64,)>("select n from generate_series(1, $1::bigint) n", (10_000_i64,));
    while let Some((n,)) = numbers.try_next().await? {
        sum += n;
    }
    println!("the sum of ten thousand rows is {sum}");

    // The rows of the first pages are enough: dropping the stream cancels the query on the server.
    let rows = db.stream::<(i64,)>("select n from generate_series(1, 1000000000::bigint) n", ());
    let mut pages = rows.batch(Batch::items(1000));
    for page in 1..=3 {
        let rows = pages.next().await.into_iter().flatten().collect::<Result<Vec<_>, _>>()?;
        println!("page {page}: {} rows", rows.len());
    }
    drop(pages);
    let count: i64 = db.fetch_scalar("select count(*) from pg_class", ()).await?;
    println!("the connection is free again, and finds {count} tables");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    match env::var("DATABASE_URL") {
        Ok(url) => scenario(Database::connect(&url).await?).await,
        Err(_) => {
            println!("DATABASE_URL is not set: there is nothing to read");
            Ok(())
        }
    }
}
