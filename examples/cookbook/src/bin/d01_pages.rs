//! How do I read an API page by page? As one stream of items: the next page is fetched while you work on this one.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_stream::{PageError, paginate, paginate_offset};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep};

#[derive(Clone)]
struct Api;

impl Api {
    /// Returns a page of users and the token of the next one.
    async fn users(&self, token: Option<u32>) -> io::Result<(Vec<u32>, Option<u32>)> {
        sleep(Duration::from_millis(50)).await;
        let page = token.unwrap_or(0);
        Ok(((page * 3..page * 3 + 3).collect(), (page < 4).then_some(page + 1)))
    }

    /// Returns up to ten rows from an offset on.
    async fn rows(&self, offset: u64) -> io::Result<Vec<u64>> {
        sleep(Duration::from_millis(50)).await;
        Ok((offset.min(95)..(offset + 10).min(95)).collect())
    }
}

pub(crate) async fn scenario() -> Result<(), PageError> {
    let start = Instant::now();
    let api = Api;
    // Each page names the next one. A page that fails is retried within the closure, by `POLICY.run`.
    let users = paginate(None, async move |token| -> io::Result<_> {
        let (users, next) = api.users(token).await?;
        Ok((users, next.map(Some)))
    });
    let mut users = users.max_pages(1000).prefetch(1);
    while let Some(user) = users.next().await {
        print!("{} ", user?);
    }
    println!("in {} ms", start.elapsed().as_millis());

    // Offsets are known before: four pages at a time, in order.
    let start = Instant::now();
    let rows = paginate_offset(10, async |offset| Api.rows(offset).await).concurrent(4);
    let rows: Vec<_> = rows.try_collect().await?;
    println!("{} rows in {} ms", rows.len(), start.elapsed().as_millis());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), PageError> {
    scenario().await
}
