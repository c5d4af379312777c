//! Which calls are answered, and how.

use std::{
    fmt, mem,
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use hyper::{Method, body::Bytes};

use super::{
    call::Call,
    path::Pattern,
    reply::{Reply, parse_header},
};

/// The replies to some calls, in order.
///
/// Each reply is given once, and the last one for ever; [`times`](Self::times) says otherwise. When all are
/// given, the route answers no more, and the next route that fits does.
///
/// It is a handle: the route is in force as soon as it has a reply, and may be changed while it is.
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
pub struct Route(Arc<Entry>);

/// What the server keeps of a route.
pub(super) struct Entry {
    method: Option<Method>,
    matches: Matches,
    shown: String,
    place: &'static Location<'static>,
    script: Mutex<Script>,
}

pub(super) enum Matches {
    Path(Pattern),
    Call(Box<dyn Fn(&Call) -> bool + Send + Sync>),
}

type Make = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    /// The step that is next, and how often it was taken.
    at: usize,
    taken: usize,
    calls: usize,
    expected: Option<usize>,
}

struct Step {
    reply: Make,
    times: Option<usize>,
}

impl Route {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Route(entry)
    }

    /// Gives this reply, in place of all before.
    pub fn reply(&mut self, reply: impl Into<Reply>) -> &mut Self {
        let reply = reply.into();
        self.reply_with(move |_| reply.clone())
    }

    /// Gives the reply that `make` makes of each call, in place of all before.
    ///
    /// A panic in it fails the test.
    pub fn reply_with(&mut self, make: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> &mut Self {
        let mut script = lock(&self.0.script);
        (script.at, script.taken) = (0, 0);
        let old = mem::take(&mut script.steps);
        drop(script);
        // Not under the lock: what made the replies is the user's.
        drop(old);
        self.then_with(make)
    }

    /// Gives this reply after those before.
    pub fn then(&mut self, reply: impl Into<Reply>) -> &mut Self {
        let reply = reply.into();
        self.then_with(move |_| reply.clone())
    }

    /// Gives the reply that `make` makes of each call, after those before.
    pub fn then_with(&mut self, make: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> &mut Self {
        lock(&self.0.script).steps.push(Step { reply: Arc::new(make), times: None });
        self
    }

    /// Gives the last reply so often, even if none follows.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or if there is no reply.
    #[track_caller]
    pub fn times(&mut self, times: usize) -> &mut Self {
        assert!(times > 0, "a reply that is given zero times");
        self.last(|step| step.times = Some(times))
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

    /// Sets the body of the last reply.
    ///
    /// # Panics
    ///
    /// If there is no reply.
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

    /// Lets the test fail, when the server is dropped, unless the route has answered so many calls.
    pub fn expect(&mut self, calls: usize) -> &mut Self {
        lock(&self.0.script).expected = Some(calls);
        self
    }

    #[track_caller]
    fn edit(&mut self, edit: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> &mut Self {
        self.last(|step| {
            let made = step.reply.clone();
            step.reply = Arc::new(move |call| edit(made(call)));
        })
    }

    #[track_caller]
    fn last(&mut self, change: impl FnOnce(&mut Step)) -> &mut Self {
        let mut script = lock(&self.0.script);
        let Some(step) = script.steps.last_mut() else {
            drop(script);
            panic!("the route has no reply yet");
        };
        change(step);
        drop(script);
        self
    }
}

impl Entry {
    pub(super) fn new(
        method: Option<Method>,
        matches: Matches,
        shown: String,
        place: &'static Location<'static>,
    ) -> Self {
        Entry { method, matches, shown, place, script: Mutex::default() }
    }

    /// The reply to a call that fits, if there is one left; the call gets the parameters of the path.
    pub(super) fn answer(&self, call: &mut Call) -> Option<Reply> {
        if self.method.as_ref().is_some_and(|method| *method != call.method) {
            return None;
        }
        match &self.matches {
            Matches::Path(pattern) => call.parameters = pattern.matches(call.path())?,
            Matches::Call(matches) => matches(call).then_some(())?,
        }
        // The lock is free while the reply is made: that may change the route.
        let make = lock(&self.script).next()?;
        Some(make(call))
    }

    /// What was expected and did not happen.
    pub(super) fn missed(&self) -> Option<String> {
        let script = lock(&self.script);
        let expected = script.expected.filter(|expected| *expected != script.calls)?;
        Some(format!("{} ({}): expected {expected} call(s), got {}", self.shown, self.place, script.calls))
    }
}

impl Script {
    fn next(&mut self) -> Option<Make> {
        loop {
            let step = self.steps.get(self.at)?;
            let once = (self.at + 1 < self.steps.len()).then_some(1);
            if step.times.or(once).is_none_or(|times| self.taken < times) {
                self.taken += 1;
                self.calls += 1;
                return Some(step.reply.clone());
            }
            (self.at, self.taken) = (self.at + 1, 0);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.shown).finish()
    }
}
