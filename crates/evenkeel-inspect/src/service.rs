//! The dump as a `tower` service.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::runtime;
use tower_service::Service;

use crate::answer::Answers;

/// Answers `GET` and `HEAD` with the dump, whatever the path is: a router decides on that.
///
/// It is HTML, unless the header `Accept` prefers `text/plain` or `application/json`, or the query has `format=html`, `json` or
/// `text`. Other methods get status 405, and forms that there are not 406. Nothing may keep an answer (`Cache-Control: no-store`).
/// Bodies of requests are dropped unread.
///
/// The dump is made in the task of the request. Requests to clones of it share one look, which is at most 100 ms old, so that no
/// number of requests loads the program with looks.
///
/// **Everybody who reaches it can read the dump**: the names, labels and places of the program. Put it where your metrics are.
///
/// # Cancel safety
///
/// Dropping a future of it changes nothing.
///
/// # Examples
///
/// In a router of axum; for hyper alone see `TowerToHyperService` of hyper-util.
///
/// ```
/// use axum::Router;
/// use evenkeel_inspect::InspectService;
///
/// let app: Router = Router::new().route_service("/debug/evenkeel", InspectService::new());
/// # drop(app);
/// ```
#[derive(Clone, Default)]
pub struct InspectService {
    answers: Answers,
}

impl InspectService {
    /// Returns a service that tells of all objects of the process, as [`dump`](crate::dump).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a service that tells of the objects of one runtime, as [`dump_of`](crate::dump_of).
    #[must_use]
    pub fn of(runtime: runtime::Id) -> Self {
        Self { answers: Answers::of(runtime) }
    }
}

impl<B> Service<Request<B>> for InspectService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (answers, (head, _)) = (self.answers.clone(), request.into_parts());
        Box::pin(async move { Ok(answers.answer(&head.method, head.uri.query(), &head.headers).await) })
    }
}

impl fmt::Debug for InspectService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectService").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        time::Duration,
    };

    use http::{Method, StatusCode, header};
    use tokio::{
        runtime::Handle,
        task::JoinSet,
        time::{Instant, sleep},
    };

    use super::*;
    use crate::{Inspect, Inspected, InspectedResource, Registration, register};

    /// An object that counts how often it is looked at.
    struct Counter {
        looks: AtomicUsize,
        _registration: Registration,
    }

    impl Inspect for Counter {
        fn inspect(&self, _now: Instant) -> Option<Inspected> {
            self.looks.fetch_add(1, Relaxed);
            Some(Inspected::Resource(InspectedResource::new("counter", 1)))
        }
    }

    fn counter() -> Arc<Counter> {
        Arc::new_cyclic(|counter| Counter {
            looks: AtomicUsize::new(0),
            _registration: register(std::sync::Weak::clone(counter)),
        })
    }

    async fn ask(mut service: InspectService, method: Method, query: &str) -> Response<String> {
        // Whatever the body is.
        let request =
            Request::builder().method(method).uri(format!("/any/path{query}")).body(std::rc::Rc::new(()));
        let answer = service.call(request.unwrap());
        answer.await.unwrap()
    }

    fn service() -> InspectService {
        InspectService::of(Handle::current().id())
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_serves_all_requests_of_a_tenth_of_a_second() {
        let (counter, service) = (counter(), service());
        let mut requests = JoinSet::new();
        for number in 0..100_u64 {
            let query = ["", "?format=json", "?format=text"][number as usize % 3];
            for service in [service.clone(), service.clone()] {
                requests.spawn(async move {
                    sleep(Duration::from_millis(10 * number)).await;
                    let answer = ask(service, Method::GET, query).await;
                    assert_eq!(answer.status(), StatusCode::OK);
                    assert!(answer.body().contains("counter"), "{answer:?}");
                });
            }
        }
        while let Some(done) = requests.join_next().await {
            done.unwrap();
        }
        // For the second from 0 to 990 ms.
        assert_eq!(counter.looks.load(Relaxed), 10);
    }

    /// Requests on threads: those that come during a look get that one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn requests_at_one_time_wait_for_one_look() {
        let (counter, service) = (counter(), service());
        let (mut requests, start) = (JoinSet::new(), Instant::now());
        for _ in 0..1000 {
            requests.spawn(ask(service.clone(), Method::GET, "?format=json"));
        }
        while let Some(answer) = requests.join_next().await {
            assert_eq!(answer.unwrap().status(), StatusCode::OK);
        }
        let most = start.elapsed().as_millis() / 100 + 1;
        assert!(counter.looks.load(Relaxed) as u128 <= most);
    }

    #[tokio::test(start_paused = true)]
    async fn methods_and_forms_that_there_are_not() {
        let service = service();
        for method in [Method::POST, Method::OPTIONS, Method::CONNECT] {
            let answer = ask(service.clone(), method, "").await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[header::ALLOW], "GET, HEAD");
        }
        assert_eq!(
            ask(service.clone(), Method::GET, "?format=yaml").await.status(),
            StatusCode::NOT_ACCEPTABLE
        );
        let (head, get) = (ask(service.clone(), Method::HEAD, "").await, ask(service, Method::GET, "").await);
        assert_eq!((head.status(), head.body().as_str()), (StatusCode::OK, ""));
        assert_eq!(head.headers(), get.headers());
        assert_eq!(get.headers()[header::CONTENT_LENGTH], get.body().len().to_string());
    }

    /// A request that is dropped while it waits for its turn leaves it to the others.
    #[tokio::test(start_paused = true)]
    async fn requests_that_are_dropped() {
        let service = service();
        let turn = service.answers.hold().await;
        let mut dropped = Box::pin(ask(service.clone(), Method::GET, ""));
        let mut kept = Box::pin(ask(service, Method::GET, ""));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(dropped.as_mut().poll(cx).is_pending() && kept.as_mut().poll(cx).is_pending());
        drop(dropped);
        drop(turn);
        assert_eq!(kept.await.status(), StatusCode::OK);
    }
}
