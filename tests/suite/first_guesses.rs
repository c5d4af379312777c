//! Programs as they are written first, which compile and do what they say; those that do not compile are in `compile_errors/`.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::{
    limit::{
        ConcurrencyLimiter, Denied, RateLimiter,
        tower::{LimitError, LimitLayer},
    },
    retry::{Backoff, GaveUp, Jitter, Policy, RetryError, Verdict, tower::RetryLayer},
    shutdown::{Outcome, Reason, Shutdown},
    stream::{ParMap, prelude::*},
    task::group,
};
use evenkeel_testkit::{World, assert_took};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

static POLICY: Policy = Policy::new(Backoff::none()).max_retries(2);

async fn fetch(id: u32) -> io::Result<u32> {
    sleep(Duration::from_millis(10)).await;
    if id == 7 { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(id * id) }
}

/// An error that is none of std's and takes all of them, as that of anyhow.
#[derive(Debug)]
struct Report(BoxError);

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Report> for BoxError {
    fn from(report: Report) -> Self {
        report.0
    }
}

async fn fetch_or_report(id: u32) -> Result<u32, Report> {
    Ok(fetch(id).await?)
}

#[test]
fn a_question_mark_behind_a_retry() {
    async fn of_io(id: u32) -> Result<u32, Report> {
        Ok(POLICY.run(|| fetch(id)).await?)
    }
    async fn boxed(id: u32) -> Result<u32, Report> {
        Ok(POLICY.run(|| fetch_or_report(id)).await.map_err(RetryError::boxed)?)
    }
    async fn last(id: u32) -> Result<u32, Report> {
        POLICY.run(|| fetch_or_report(id)).await.map_err(RetryError::into_last)
    }
    World::run(async |_| {
        assert_eq!((of_io(2).await.unwrap(), boxed(3).await.unwrap(), last(4).await.unwrap()), (4, 9, 16));
        let gave_up = "gave up after 3 attempts and 30ms, 20ms after the first failure: no attempts left";
        assert_eq!(of_io(7).await.unwrap_err().0.to_string(), gave_up);
        let error = boxed(7).await.unwrap_err().0;
        assert_eq!(error.to_string(), gave_up);
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(last(7).await.unwrap_err().0.is::<io::Error>());
    });
}

#[test]
fn a_loop_for_an_operation_that_changes_what_it_captures() {
    World::run(async |_| {
        let (mut n, mut attempts) = (6, POLICY.start());
        let square = loop {
            n += 1;
            match attempts.attempt(fetch(n)).await {
                Ok(square) => break square,
                Err(failed) => attempts.backoff(failed).await.unwrap(),
            }
        };
        assert_eq!((n, square), (8, 64));
    });
}

#[test]
fn the_value_of_a_task() {
    World::run(async |_| {
        let sum = group(async |g| {
            g.spawn(fetch(1));
            g.spawn(async { drop(fetch(7).await) });
            let handles = [2, 3].map(|id| g.spawn_with_handle(fetch(id)));
            Ok(futures::future::try_join_all(handles).await?.iter().sum::<u32>())
        });
        assert_eq!(sum.await.unwrap(), 13);
    });
}

#[test]
fn a_question_mark_in_a_task_of_a_program() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let report = shutdown
            .try_task("import", async move |stop| {
                fetch(7).await?;
                stop.draining().await;
                Ok(())
            })
            .try_task("export", async |_stop| {
                let number: u32 = "2".parse()?;
                Ok(fetch(number).await?)
            })
            .task("annotated", async |_stop| -> io::Result<()> {
                fetch(2).await?;
                Ok(())
            })
            .task("tail", async |_stop| fetch(2).await)
            .try_on_stop("clean-up", async || {
                fetch(7).await?;
                Ok(())
            })
            .run()
            .await;
        assert_eq!(report.reason, Reason::Failed("import".into()));
        let failed = report.tasks.iter().filter(|task| matches!(task.outcome, Outcome::Failed(_)));
        assert!(failed.map(|task| &*task.name).eq(["import", "clean-up"]), "{report}");
        assert!(report.tasks.iter().all(|task| task.place.file().ends_with("first_guesses.rs")));
    });
}

#[test]
fn a_parallel_map_in_a_method() {
    #[derive(Clone)]
    struct Api;

    impl Api {
        async fn get(&self, id: u32) -> io::Result<u32> {
            fetch(id).await
        }

        fn on_tasks(&self) -> ParMap<impl futures::Stream<Item = u32> + use<>, io::Result<u32>> {
            let api = self.clone();
            stream::iter(0..6).par_map(3, async move |id| api.get(id).await)
        }

        async fn within_this_task(&self) -> io::Result<Vec<u32>> {
            stream::iter(0..6).map(|id| self.get(id)).buffered(3).try_collect().await
        }
    }

    World::run(async |_| {
        let squares = [0, 1, 4, 9, 16, 25];
        let on_tasks = async { Api.on_tasks().ordered().try_collect::<Vec<_>>().await.unwrap() };
        assert_eq!(assert_took!(on_tasks, Duration::from_millis(20)), squares);
        let within = async { Api.within_this_task().await.unwrap() };
        assert_eq!(assert_took!(within, Duration::from_millis(20)), squares);
    });
}

#[test]
fn one_error_above_several_limits() {
    static RETRY: Policy =
        Policy::exponential(Duration::from_millis(100), Duration::from_secs(10)).jitter(Jitter::None);

    #[derive(Debug)]
    struct Busy;

    impl fmt::Display for Busy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("busy")
        }
    }

    impl std::error::Error for Busy {}

    World::run(async |_| {
        let calls = AtomicU32::new(0);
        let calls = &calls;
        let retry = RetryLayer::new(
            &RETRY,
            |request: &u32| Some(*request),
            |error: &BoxError| match error.downcast_ref::<Denied>() {
                Some(denied) => denied.retry_after.map_or(Verdict::Permanent, Verdict::RetryAfter),
                None => Verdict::from(error.is::<Busy>()),
            },
        );
        let service = ServiceBuilder::new()
            .layer(retry)
            .map_err(LimitError::boxed)
            .layer(LimitLayer::rate(Arc::new(RateLimiter::per_minute(60).burst(1))).reject())
            .map_err(LimitError::boxed)
            .layer(LimitLayer::concurrency(Arc::new(ConcurrencyLimiter::new(8))))
            .service_fn(async |request: u32| match calls.fetch_add(1, Relaxed) {
                0 => Err(BoxError::from(Busy)),
                1 => Ok(request),
                _ => Err("broken".into()),
            });
        // The first attempt fails, the second one is denied 100 ms later, and the third comes with the next permit.
        let answer = assert_took!(service.clone().oneshot(5), Duration::from_secs(1));
        assert_eq!(answer.unwrap(), 5);
        sleep(Duration::from_secs(1)).await;
        let error: RetryError<BoxError> = service.oneshot(5).await.unwrap_err();
        assert_eq!((error.reason, error.last.unwrap().to_string()), (GaveUp::Permanent, "broken".to_owned()));
    });
}
