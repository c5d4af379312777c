//! `Route`: the replies to the calls that match.

use std::{
    fmt, mem,
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use hyper::body::Bytes;

use super::{
    call::{Call, Parameters},
    reply::{Reply, parse_header},
};

/// The replies to the calls that match, in order.
///
/// Each reply is used once, and the last one forever, unless [`times`](Self::times) is set. When all are used up, the
/// next route that matches answers.
///
/// It is a handle: the route is in force as soon as it has a reply, and can be changed at any time.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, http::{Method, Reply, Server}, net::MemNet};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "api.test").unwrap();
///     server.on(Method::GET, "/users/{id}").reply(503).times(2).then(200).header("etag", "7").expect(4);
///     server.on(Method::PUT, "/users/{id}").reply_with(|call| {
///         Reply::new(200).body(format!("{} is {}", call.parameter("id").unwrap(), call.text()))
///     });
///
///     let mut statuses = vec![];
///     for _ in 0..4 {
///         let reply = server.client().get(server.url("/users/7").parse().unwrap()).await.unwrap();
///         statuses.push(reply.status().as_u16());
///     }
///     assert_eq!(statuses, [503, 503, 200, 200]);
/// });
/// ```
#[derive(Debug)]
pub struct Route(Arc<RouteState>);

/// The server's part of a route.
pub(super) struct RouteState {
    matches: Matches,
    shown: String,
    place: &'static Location<'static>,
    queue: Mutex<ReplyQueue>,
}

/// Returns the parameters of the path, if the call matches.
type Matches = Box<dyn Fn(&Call) -> Option<Parameters> + Send + Sync>;

type Make = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

#[derive(Default)]
struct ReplyQueue {
    replies: Vec<ScriptedReply>,
    /// The index of the next reply, and how often it was used.
    next: usize,
    used: usize,
    calls: usize,
    expected: Option<usize>,
}

struct ScriptedReply {
    reply: Make,
    times: Option<usize>,
}

impl Route {
    pub(super) fn new(entry: Arc<RouteState>) -> Self {
        Route(entry)
    }

    /// Sets the reply, in place of all replies before.
    pub fn reply(&mut self, reply: impl Into<Reply>) -> &mut Self {
        let reply = reply.into();
        self.reply_with(move |_| reply.clone())
    }

    /// Sets the reply to the result of `make` for each call, in place of all replies before.
    ///
    /// A panic in it fails the test.
    pub fn reply_with(&mut self, make: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> &mut Self {
        let replies = vec![ScriptedReply::new(make)];
        let mut queue = lock(&self.0.queue);
        (queue.next, queue.used) = (0, 0);
        let old = mem::replace(&mut queue.replies, replies);
        drop(queue);
        // Dropped without the lock: the closures are the user's.
        drop(old);
        self
    }

    /// Adds this reply after the replies before.
    pub fn then(&mut self, reply: impl Into<Reply>) -> &mut Self {
        let reply = reply.into();
        self.then_with(move |_| reply.clone())
    }

    /// Adds the result of `make` for each call, after the replies before.
    pub fn then_with(&mut self, make: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> &mut Self {
        lock(&self.0.queue).replies.push(ScriptedReply::new(make));
        self
    }

    /// Uses the last reply `times` times, even if none follows.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or if there is no reply.
    #[track_caller]
    pub fn times(&mut self, times: usize) -> &mut Self {
        assert!(times > 0, "a reply that is given zero times");
        self.last(|last| last.times = Some(times))
    }

    /// Adds a header to the last reply.
    ///
    /// # Panics
    ///
    /// Where [`Reply::header`] does, or if there is no reply.
    #[track_caller]
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        let (name, value) = parse_header(name, value);
        self.edit(move |mut reply| {
            reply.headers.append(name.clone(), value.clone());
            reply
        })
    }

    /// Sets the body of the last reply. Its type is a header, where a client looks at it.
    ///
    /// # Panics
    ///
    /// If there is no reply.
    #[doc(alias("json", "set_body"))]
    #[track_caller]
    pub fn body(&mut self, body: impl Into<Bytes>) -> &mut Self {
        let body = body.into();
        self.edit(move |reply| reply.body(body.clone()))
    }

    /// Sets the latency of the last reply, as [`Reply::latency`] does.
    ///
    /// # Panics
    ///
    /// If there is no reply.
    #[track_caller]
    pub fn latency(&mut self, latency: Duration) -> &mut Self {
        self.edit(move |reply| reply.latency(latency))
    }

    /// Fails the test when the server is dropped, unless the route has answered exactly `calls` calls.
    pub fn expect(&mut self, calls: usize) -> &mut Self {
        lock(&self.0.queue).expected = Some(calls);
        self
    }

    #[track_caller]
    fn edit(&mut self, edit: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> &mut Self {
        self.last(|last| {
            let made = last.reply.clone();
            last.reply = Arc::new(move |call| edit(made(call)));
        })
    }

    #[track_caller]
    fn last(&mut self, change: impl FnOnce(&mut ScriptedReply)) -> &mut Self {
        let mut queue = lock(&self.0.queue);
        let Some(last) = queue.replies.last_mut() else {
            drop(queue);
            panic!("the route has no reply yet");
        };
        change(last);
        drop(queue);
        self
    }
}

impl RouteState {
    pub(super) fn new(matches: Matches, shown: String, place: &'static Location<'static>) -> Self {
        RouteState { matches, shown, place, queue: Mutex::default() }
    }

    /// Returns the reply to a call that matches, if one is left; sets the parameters of the call.
    pub(super) fn answer(&self, call: &mut Call) -> Option<Reply> {
        let parameters = (self.matches)(call)?;
        // Called without the lock: the closure may change the route.
        let make = lock(&self.queue).next()?;
        call.parameters = parameters;
        Some(make(call))
    }

    /// Describes an expectation that was not met.
    pub(super) fn missed(&self) -> Option<String> {
        let queue = lock(&self.queue);
        let expected = queue.expected.filter(|expected| *expected != queue.calls)?;
        Some(format!("{} ({}): expected {expected} call(s), got {}", self.shown, self.place, queue.calls))
    }
}

impl ScriptedReply {
    fn new(make: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        ScriptedReply { reply: Arc::new(make), times: None }
    }
}

impl ReplyQueue {
    fn next(&mut self) -> Option<Make> {
        loop {
            let last = self.replies.get(self.next)?;
            let once = (self.next + 1 < self.replies.len()).then_some(1);
            if last.times.or(once).is_none_or(|times| self.used < times) {
                self.used += 1;
                self.calls += 1;
                return Some(last.reply.clone());
            }
            (self.next, self.used) = (self.next + 1, 0);
        }
    }
}

impl fmt::Debug for RouteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.shown).finish()
    }
}
