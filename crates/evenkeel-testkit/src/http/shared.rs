//! The state of a server, and the way from a call to its reply.
//!
//! # How it works
//!
//! hyper runs [`Shared::serve`] for each request. It reads the body, asks the routes in their order, records the call
//! and waits for the latency of the reply. Routes run closures of the test, so they are cloned out of the lock before
//! they are asked, and a panic of one is noted for the end of the test. A reply that hyper cannot send becomes an
//! error, [`Broken`]: hyper then returns the connection, and `fault.rs` writes to it.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_base::lock;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, body::Incoming};
use tokio::time::{Instant, sleep};

use super::{
    body::ReplyBody,
    call::Call,
    in_flight::{InFlight, InFlightCall},
    reply::{Fault, Reply},
    route::RouteState,
};

/// The largest body that is read; larger ones get a 413.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// The maximum number of calls without a route that are listed one by one.
const MAX_LISTED: usize = 10;

/// The routes and the recorded calls of a server.
#[derive(Debug)]
pub(super) struct Shared {
    title: String,
    start: Instant,
    /// Each call in flight holds a clone.
    in_flight: Arc<InFlight>,
    peak_in_flight: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    routes: Arc<Vec<Arc<RouteState>>>,
    calls: Vec<Call>,
    panics: Vec<String>,
}

impl Shared {
    /// Creates that of a server with this name in timelines.
    pub(super) fn new(title: String) -> Self {
        Shared {
            title,
            start: Instant::now(),
            in_flight: Arc::default(),
            peak_in_flight: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn add(&self, route: Arc<RouteState>) {
        Arc::make_mut(&mut lock(&self.state).routes).push(route);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    pub(super) fn in_flight(&self) -> usize {
        Arc::strong_count(&self.in_flight) - 1
    }

    pub(super) fn peak_in_flight(&self) -> usize {
        self.peak_in_flight.load(Ordering::Relaxed)
    }

    /// The reasons for which the test has to fail at its end.
    pub(super) fn complaints(&self) -> Vec<String> {
        let state = lock(&self.state);
        let mut complaints: Vec<String> = state.routes.iter().filter_map(|route| route.missed()).collect();
        let mut unmatched = state.calls.iter().filter(|call| !call.matched);
        let listed = unmatched.by_ref().take(MAX_LISTED);
        complaints
            .extend(listed.map(|call| format!("no route for {} {} at {:?}", call.method, call.uri, call.at)));
        let unlisted = unmatched.count();
        complaints.extend((unlisted > 0).then(|| format!("no route for {unlisted} more")));
        complaints.extend_from_slice(&state.panics);
        complaints
    }

    /// Records a call, and returns the reply to it.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Broken> {
        let at = self.start.elapsed();
        let (head, body) = request.into_parts();
        let counted = Arc::clone(&self.in_flight);
        let mut call = InFlightCall::new(counted, &self.title, &head.method, &head.uri);
        let in_flight = self.in_flight();
        self.peak_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let answer = Reply::new(413);
                call.set_reply(&answer);
                return reply(answer, call);
            }
            // The client has disconnected.
            Err(_) => return reply(Reply::eof(), call),
        };
        let mut recorded = Call {
            at,
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            in_flight,
            matched: false,
            parameters: Vec::new(),
        };
        let answer = self.answer(&mut recorded);
        recorded.matched = answer.is_some();
        lock(&self.state).calls.push(recorded);
        let answer = answer.unwrap_or_else(|| Reply::new(404).body("no route"));
        if !answer.latency.is_zero() {
            sleep(answer.latency).await;
        }
        call.set_reply(&answer);
        reply(answer, call)
    }

    /// Returns the reply of the first route that has one.
    fn answer(&self, call: &mut Call) -> Option<Reply> {
        let routes = lock(&self.state).routes.clone();
        let found =
            catch_unwind(AssertUnwindSafe(|| routes.iter().find_map(|route| route.answer(&mut *call))));
        found.unwrap_or_else(|panic| {
            // The result of this task may not be looked at.
            let complaint = format!("a route panicked at {} {} at {:?}", call.method, call.uri, call.at);
            lock(&self.state).panics.push(complaint);
            resume_unwind(panic)
        })
    }
}

fn reply(mut reply: Reply, call: InFlightCall) -> Result<Response<ReplyBody>, Broken> {
    if let Some(fault) = reply.fault.take() {
        return Err(Broken { reply: Box::new(reply), fault, _call: call });
    }
    let mut response = Response::new(ReplyBody::new(reply.body, reply.slow, call));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

/// A reply that hyper cannot send, as the error with which hyper returns the connection.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) reply: Box<Reply>,
    pub(super) fault: Fault,
    _call: InFlightCall,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply is a fault")
    }
}

impl Error for Broken {}
