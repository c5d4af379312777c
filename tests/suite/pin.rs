//! The line that the whole API must keep compiling: retry and a limit meet a stream in the user's own closures, as
//! they are written inside `tokio::spawn` and inside an `async_trait` method.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use evenkeel::{
    limit::RateLimiter,
    retry::{Backoff, Jitter, Policy, RetryError},
    stream::{PageError, paginate, prelude::*},
};
use evenkeel_testkit::{World, assert_took};
use futures::{Stream, TryStreamExt as _};

const MS: fn(u64) -> Duration = Duration::from_millis;

static POLICY: Policy = Policy::new(
    Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)).jitter(Jitter::None),
)
.max_attempts(4);

#[derive(Debug)]
struct ApiError;

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the call failed")
    }
}

impl std::error::Error for ApiError {}

#[derive(Debug)]
struct User(u32);

#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug when an assertion fails")]
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

/// Four pages of 25 users, 10 ms each; every call takes 200 ms, and each user's first call fails.
#[derive(Clone, Default)]
struct Api {
    calls: Arc<AtomicU32>,
    failed: Arc<std::sync::Mutex<std::collections::HashSet<u32>>>,
}

impl Api {
    async fn page(&self, cursor: u32) -> Result<(Vec<User>, Option<u32>), ApiError> {
        tokio::time::sleep(MS(10)).await;
        Ok(((0..25).map(|n| User(cursor * 25 + n)).collect(), (cursor < 3).then_some(cursor + 1)))
    }

    async fn enrich(&self, user: &User) -> Result<u32, ApiError> {
        self.calls.fetch_add(1, Relaxed);
        tokio::time::sleep(MS(200)).await;
        if self.failed.lock().unwrap().insert(user.0) { Err(ApiError) } else { Ok(user.0) }
    }
}

fn is_transient(_: &ApiError) -> bool {
    true
}

fn users(api: Api, limiter: Arc<RateLimiter>) -> impl Stream<Item = Result<u32, Failed>> + Send + Unpin {
    let pages = api.clone();
    let users =
        paginate(0, async move |cursor| pages.page(cursor).await).try_par_map(100, async move |user| {
            limiter.acquire().await;
            Ok(POLICY.run(|| api.enrich(&user)).when(is_transient).await?)
        });
    Box::pin(users)
}

#[async_trait]
trait Job {
    async fn run(&self) -> Result<u32, Failed>;
}

#[async_trait]
impl Job for Api {
    async fn run(&self) -> Result<u32, Failed> {
        let limiter = Arc::new(RateLimiter::per_second(1000).burst(100));
        let api = self.clone();
        let pages = self.clone();
        paginate(0, async move |cursor| pages.page(cursor).await)
            .try_par_map(100, async move |user| {
                limiter.acquire().await;
                Ok::<_, Failed>(POLICY.run(|| api.enrich(&user)).when(is_transient).await?)
            })
            .try_fold(0, async |sum, id| Ok(sum + id))
            .await
    }
}

const SUM: u32 = 99 * 100 / 2;

#[test]
fn the_pin_runs_inside_spawn() {
    World::run(async |_| {
        let api = Api::default();
        let calls = api.calls.clone();
        let task = tokio::spawn(async move {
            let limiter = Arc::new(RateLimiter::per_second(1000).burst(100));
            users(api, limiter).try_fold(0, async |sum, id| Ok(sum + id)).await
        });
        // The last page is there at 40 ms; its users fail once, wait 100 ms, and succeed.
        let sum = assert_took!(task, MS(40 + 200 + 100 + 200)).unwrap().unwrap();
        assert_eq!((sum, calls.load(Relaxed)), (SUM, 200));
    });
}

#[test]
fn the_pin_runs_inside_async_trait() {
    World::run(async |_| {
        let job: Box<dyn Job + Send + Sync> = Box::new(Api::default());
        assert_eq!(assert_took!(job.run(), MS(540)).unwrap(), SUM);
    });
}
