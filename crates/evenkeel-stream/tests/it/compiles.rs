//! Code that must keep compiling: the pipeline of the README, inside a spawned task and inside a boxed `Send` future.

use std::{sync::Arc, time::Duration};

use evenkeel_stream::{Batch, Batches, ItemError, PageError, Prefetch, TryParMap, paginate, prelude::*};
use evenkeel_testkit::{World, assert_took};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::{sync::Semaphore, time::sleep};

use crate::support::ms;

#[derive(Clone)]
struct Api;

#[derive(Debug)]
struct ApiError;

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("api")
    }
}

impl std::error::Error for ApiError {}

struct User(u32);

impl Api {
    async fn page(&self, cursor: u32) -> Result<(Vec<User>, Option<u32>), ApiError> {
        sleep(ms(100)).await;
        Ok(((0..100).map(User).collect(), (cursor < 3).then_some(cursor + 1)))
    }

    async fn enrich(&self, user: &User) -> Result<u32, ApiError> {
        sleep(ms(50)).await;
        Ok(user.0)
    }
}

#[derive(Debug)]
struct RetryError<E>(E);

/// A policy with the signature of the one in evenkeel-retry.
struct Policy;

static POLICY: Policy = Policy;

impl Policy {
    async fn run<T, E, Fut: Future<Output = Result<T, E>>>(
        &self,
        mut operation: impl FnMut() -> Fut,
    ) -> Result<T, RetryError<E>> {
        operation().await.map_err(RetryError)
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "its Debug output is what a failed test shows")]
enum Failed {
    Page(PageError),
    Call(RetryError<ApiError>),
}

impl From<PageError> for Failed {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl From<RetryError<ApiError>> for Failed {
    fn from(error: RetryError<ApiError>) -> Self {
        Self::Call(error)
    }
}

fn users(api: Api, limiter: Arc<Semaphore>) -> impl Stream<Item = Result<u32, Failed>> {
    let pages = api.clone();
    paginate(1, async move |cursor| pages.page(cursor).await).try_par_map(100, async move |user| {
        let _permit = limiter.acquire().await;
        Ok(POLICY.run(|| api.enrich(&user)).await?)
    })
}

#[async_trait::async_trait]
trait Job {
    async fn run(&self) -> Result<u32, Failed>;
}

#[async_trait::async_trait]
impl Job for Api {
    async fn run(&self) -> Result<u32, Failed> {
        users(self.clone(), Arc::new(Semaphore::new(100))).try_fold(0, async |sum, n| Ok(sum + n)).await
    }
}

const SUM: u32 = 3 * (99 * 100 / 2);

#[test]
fn in_a_spawned_task() {
    World::run(async |_| {
        let job = tokio::spawn(async {
            let users = users(Api, Arc::new(Semaphore::new(100)));
            users.try_fold(0, async |sum, n| Ok(sum + n)).await
        });
        // Each page, then the calls for its users: there is room for the items of one page.
        assert_eq!(assert_took!(job, ms(450)).unwrap().unwrap(), SUM);
    });
}

#[test]
fn in_an_async_trait() {
    World::run(async |_| {
        let job: Box<dyn Job + Send + Sync> = Box::new(Api);
        assert_eq!(assert_took!(job.run(), ms(450)).unwrap(), SUM);
    });
}

#[test]
fn with_one_type_for_all_errors() {
    type BoxError = Box<dyn std::error::Error + Send + Sync>;
    World::run(async |_| {
        let job = tokio::spawn(async {
            let calls = Api;
            let users = paginate(1, async |cursor| Ok::<_, BoxError>(Api.page(cursor).await?))
                .prefetch(2)
                .try_par_map(100, async move |user| Ok::<_, BoxError>(calls.enrich(&user).await?))
                .ordered()
                .batch(Batch::items(64).within(Duration::from_secs(1)));
            let batches: Vec<_> = users.collect().await;
            (batches.len(), batches.concat_ok())
        });
        // With prefetch a page is fetched beside the calls for the page before it.
        assert_eq!(assert_took!(job, ms(350)).unwrap(), (5, SUM));
    });
}

trait ConcatOk {
    fn concat_ok(self) -> u32;
}

impl<E: std::fmt::Debug> ConcatOk for Vec<Vec<Result<u32, E>>> {
    fn concat_ok(self) -> u32 {
        self.into_iter().flatten().map(Result::unwrap).sum()
    }
}

/// A type with a lifetime fails as "not general enough" in a spawned task if a stream has one bound too many; an adapter
/// that names the item of its source, as `batch` does, needs all bounds of the source.
#[test]
fn with_lifetimes_in_every_type() {
    type BoxError = Box<dyn std::error::Error + Send + Sync>;
    type Row = (&'static str, Box<dyn Fn() -> &'static str + Send>);

    async fn page(cursor: &'static str) -> Result<(Vec<Row>, Option<&'static str>), BoxError> {
        let rows = [(cursor, Box::new(move || cursor) as Box<_>)];
        Ok((rows.into(), (cursor == "first").then_some("second")))
    }
    async fn look(row: Row) -> Result<Row, BoxError> {
        Ok(row)
    }
    async fn both(batch: Vec<Result<Row, ItemError<BoxError>>>) -> usize {
        batch.len()
    }
    World::run(async |_| {
        let one = tokio::spawn(async {
            let rows =
                paginate("first", page).prefetch(1).try_par_map(2, look).try_par_map(2, look).ordered();
            let batches = rows.settled().batch(Batch::items(2).within(ms(1)));
            batches.par_map(1, both).batch(Batch::items(1)).concat().await
        });
        assert_eq!(one.await.unwrap(), [2]);
        let two: std::pin::Pin<Box<dyn Future<Output = Vec<Row>> + Send>> = Box::pin(async {
            let batches = paginate("first", page).try_par_map(2, look).batch(Batch::items(2));
            let rows: Result<Vec<Row>, BoxError> = batches.concat().await.into_iter().collect();
            rows.unwrap_or_default()
        });
        assert_eq!(two.await.len(), 2);
    });
}

/// The streams can be named, kept in a struct, and moved on without being pinned.
#[test]
fn in_a_struct() {
    struct Import {
        users: Batches<TryParMap<Prefetch<u32>, u32, PageError>>,
    }

    World::run(async |_| {
        let numbers =
            paginate(0, async |n| Ok::<_, PageError>((vec![n], (n < 9).then_some(n + 1)))).prefetch(1);
        let mut import = Import { users: numbers.try_par_map(2, async |n| Ok(n)).batch(Batch::items(4)) };
        assert_eq!(import.users.next().await.unwrap().len(), 4);
    });
}
