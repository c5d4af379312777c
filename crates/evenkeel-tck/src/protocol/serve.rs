//! The adapter's side of the protocol in Rust: an implementation behind an [`Adapter`], for a suite in another process.
//!
//! Each rule has a world of its own, whose clock is held while the suite has its turn: its root task then waits for
//! a line. `serve/work.rs` has what runs in that world, `serve/retry.rs` and the like the messages of a pattern.

mod events;
mod limit;
mod lines;
mod pool;
mod retry;
mod shutdown;
mod stream;
mod task;
mod tasks;
mod work;

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    io::{self, BufRead},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use evenkeel_testkit::World;
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep_until};

use self::{events::Events, lines::Lines, work::Work};
use super::{
    facts::claims,
    wire::{Members, Object, Turn, VERSION, from_time, object},
};
use crate::{
    Adapter, AdapterError, Configured, limit as limits, pool as pooling, retry as retries,
    rule::{Runtime, panic_message},
    shutdown as programs, stream as streams, task as groups,
};

/// Answers a suite in another process, over the standard input and output.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::{Adapter, protocol::Server, retry};
///
/// fn main_of_an_adapter(ours: &dyn Adapter<retry::Settings>) -> std::io::Result<()> {
///     Server::new("ours", "0.1.0").retry(ours).run()
/// }
/// ```
#[must_use = "it answers nothing unless it is run"]
pub struct Server<'a> {
    library: &'a str,
    version: &'a str,
    retry: Option<&'a dyn Adapter<retries::Settings>>,
    limit: Option<&'a dyn Adapter<limits::Settings>>,
    task: Option<&'a dyn Adapter<groups::Settings>>,
    shutdown: Option<&'a dyn Adapter<programs::Settings>>,
    stream: Option<&'a dyn Adapter<streams::Settings>>,
    pool: Option<&'a dyn Adapter<pooling::Settings>>,
}

/// Messages behind which the next one follows before anything else can run: a call is made, an object is on its way, or a step has
/// ended of which nobody has heard yet.
const AT_ONCE: [&str; 8] = ["get", "warm", "close_pool", "return", "discard", "ended", "break", "destructor"];

/// Everything that a rule has made.
struct Scene<'a> {
    server: &'a Server<'a>,
    start: Instant,
    events: Arc<Events>,
    policies: HashMap<u64, retries::Policy>,
    operations: HashMap<u64, Arc<retry::Calls>>,
    limiters: HashMap<u64, Arc<dyn limits::Limiter>>,
    work: HashMap<u64, Work>,
    permits: limit::Permits,
    groups: HashMap<u64, Configured<groups::Body, groups::Outcome>>,
    programs: HashMap<u64, Configured<programs::Parts, programs::Outcome>>,
    outsides: HashMap<u64, groups::Outside>,
    tasks: tasks::Tasks,
    streams: stream::Streams,
    pools: pool::Pools,
}

impl<'a> Server<'a> {
    /// An adapter for the library of this name and version.
    pub const fn new(library: &'a str, version: &'a str) -> Self {
        Self {
            library,
            version,
            retry: None,
            limit: None,
            task: None,
            shutdown: None,
            stream: None,
            pool: None,
        }
    }

    /// With an implementation of retry.
    pub fn retry(self, adapter: &'a dyn Adapter<retries::Settings>) -> Self {
        Self { retry: Some(adapter), ..self }
    }

    /// With an implementation of limits.
    pub fn limit(self, adapter: &'a dyn Adapter<limits::Settings>) -> Self {
        Self { limit: Some(adapter), ..self }
    }

    /// With an implementation of task groups.
    pub fn task(self, adapter: &'a dyn Adapter<groups::Settings>) -> Self {
        Self { task: Some(adapter), ..self }
    }

    /// With an implementation of graceful shutdown. Its signals are withheld: their threads are not on the virtual clock.
    pub fn shutdown(self, adapter: &'a dyn Adapter<programs::Settings>) -> Self {
        Self { shutdown: Some(adapter), ..self }
    }

    /// With an implementation of operators on streams.
    pub fn stream(self, adapter: &'a dyn Adapter<streams::Settings>) -> Self {
        Self { stream: Some(adapter), ..self }
    }

    /// With an implementation of pools.
    pub fn pool(self, adapter: &'a dyn Adapter<pooling::Settings>) -> Self {
        Self { pool: Some(adapter), ..self }
    }

    /// Answers until the suite closes the input.
    ///
    /// # Errors
    /// If a line of the suite cannot be read, or no reply can be written.
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn run(&self) -> io::Result<()> {
        let mut lines = Lines::of(io::stdin().lock());
        while let Some(turn) = lines.read()? {
            match turn.items.first().map(|message| message.text("do")) {
                Some(Ok("hello")) => lines.reply(turn.at, vec![self.hello()])?,
                Some(Ok("begin")) => self.serve_rule(&mut lines, turn)?,
                _ => lines.reply(turn.until, Vec::new())?,
            }
        }
        Ok(())
    }

    fn hello(&self) -> Object {
        let mut hello = object(json!({
            "event": "hello", "protocol": VERSION, "library": self.library, "version": self.version,
            "runtime": "Rust, tokio", "can": Runtime::ALL.map(Runtime::name),
        }));
        let supports_of_shutdown = |adapter: &dyn Adapter<programs::Settings>, one| match one {
            programs::Capability::Signals => Err("a thread hears them, which is not on the virtual clock"),
            other => adapter.supports(other),
        };
        let patterns = [
            ("retry", self.retry.map(|all| claims(retries::Capability::ALL, |one| all.supports(one)))),
            ("limit", self.limit.map(|all| claims(limits::Capability::ALL, |one| all.supports(one)))),
            ("task", self.task.map(|all| claims(groups::Capability::ALL, |one| all.supports(one)))),
            (
                "shutdown",
                self.shutdown
                    .map(|all| claims(programs::Capability::ALL, |one| supports_of_shutdown(all, one))),
            ),
            ("stream", self.stream.map(|all| claims(streams::Capability::ALL, |one| all.supports(one)))),
            ("pool", self.pool.map(|all| claims(pooling::Capability::ALL, |one| all.supports(one)))),
        ];
        hello.extend(patterns.into_iter().filter_map(|(name, claims)| Some((name.to_owned(), claims?))));
        hello
    }

    /// One rule in one world. A world that fails is told as an event of the turn that is open then.
    fn serve_rule<I: BufRead>(&self, lines: &mut Lines<I>, first: Turn) -> io::Result<()> {
        let begin = first.items.iter().find(|message| message.text("do") == Ok("begin"));
        let panics = if begin.is_some_and(|begin| begin.flag("panics")) { usize::MAX } else { 0 };
        let served = catch_unwind(AssertUnwindSafe(|| {
            let world = World::builder().allow_panics(panics);
            world.run(async |world| Scene::new(self, &world).serve(&world, lines, first).await)
        }));
        let failed = match served {
            Ok(outcome) => {
                outcome?;
                Vec::new()
            }
            Err(payload) => {
                let says = panic_message(&*payload);
                vec![object(json!({"event": "failed", "says": says}))]
            }
        };
        lines.end(failed)?;
        Ok(())
    }
}

impl<'a> Scene<'a> {
    fn new(server: &'a Server<'a>, world: &World) -> Self {
        let events = Arc::<Events>::default();
        Self {
            server,
            start: Instant::now() - world.elapsed(),
            streams: stream::Streams::new(events.clone()),
            events,
            policies: HashMap::new(),
            operations: HashMap::new(),
            limiters: HashMap::new(),
            work: HashMap::new(),
            permits: limit::Permits::default(),
            groups: HashMap::new(),
            programs: HashMap::new(),
            outsides: HashMap::new(),
            tasks: tasks::Tasks::default(),
            pools: pool::Pools::default(),
        }
    }

    /// Serves turns until the one that ends the rule, which stays open.
    async fn serve<I: BufRead>(mut self, world: &World, lines: &mut Lines<I>, first: Turn) -> io::Result<()> {
        let mut turn = first;
        loop {
            let late = turn.at.saturating_sub(self.start.elapsed());
            if !late.is_zero() {
                advance(late).await;
            }
            for message in &turn.items {
                if message.text("do") == Ok("end") {
                    return Ok(());
                }
                if let Err(what) = self.play(message) {
                    self.events.note(json!({"event": "broken", "says": what}));
                }
                if !AT_ONCE.contains(&message.text("do").unwrap_or_default()) {
                    world.settle().await;
                }
            }
            world.settle().await;
            self.run_until(world, turn.until).await;
            lines.reply(self.start.elapsed(), self.events.take())?;
            turn = match lines.read()? {
                Some(next) => next,
                None => return Ok(()),
            };
        }
    }

    /// Runs until the first event, and no longer than until this time: what is due then waits for the suite's next turn.
    async fn run_until(&self, world: &World, until: Duration) {
        let until = self.start + until;
        if self.events.is_empty() && until > Instant::now() {
            let (mut timer, mut first) = (pin!(sleep_until(until)), pin!(self.events.first()));
            poll_fn(|cx| {
                let is_over = first.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready();
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        if !self.events.is_empty() {
            world.settle().await;
        }
    }

    fn play(&mut self, message: &Object) -> Result<(), String> {
        let name = message.text("do")?;
        match name {
            "begin" => Ok(()),
            "policy" => self.policy(message),
            "call" => self.call(message),
            "result" if message.is_there("attempt") => self.result(message),
            "limiter" => self.limiter(message),
            "try" => self.try_acquire(message),
            "acquire" | "reserve" => self.request(name, message),
            "release" | "settle" => {
                if self.release_item(message)? {
                    Ok(())
                } else {
                    self.give_back(message)
                }
            }
            "change" => self.change(message),
            "keys" => self.keys(message),
            "group" => self.group(message),
            "program" => self.program(message),
            "run" if message.is_there("program") => self.run_program(message),
            "run" => self.run(message),
            "spawn" => self.spawn(message),
            "look" => self.look(message),
            "results" => self.results(message),
            "start" => self.start(message),
            "cancel" => self.cancel(message.number("id")?),
            other => {
                let played = self.play_pool(other, message);
                played.unwrap_or_else(|| self.play_stream(other, message))
            }
        }
    }

    fn work(&mut self, id: u64) -> Result<&mut Work, String> {
        self.work.get_mut(&id).ok_or_else(|| format!("there is no {id}"))
    }

    fn start(&mut self, message: &Object) -> Result<(), String> {
        let id = message.number("id")?;
        if let Some(started) = self.nested(id, true) {
            return started;
        }
        match self.pools.runner_of(message)? {
            Some(runner) => self.work(id)?.start_on(&runner),
            None => self.work(id)?.start(),
        }
        Ok(())
    }

    fn cancel(&mut self, id: u64) -> Result<(), String> {
        if let Some(cancelled) = self.nested(id, false) {
            return cancelled;
        }
        if self.streams.cancel(id) {
            return Ok(());
        }
        if self.work(id)?.cancel() {
            self.events.note(json!({"event": "end", "id": id, "cancelled": true}));
        }
        // Permits that were granted meanwhile are given back.
        self.permits.give_back(id, None);
        self.pools.give_back(id);
        Ok(())
    }

    /// The moment of a time of the protocol, or the last one that the clock can express.
    fn instant(&self, time: Duration) -> Instant {
        self.start.checked_add(time).unwrap_or_else(|| last_moment(self.start))
    }

    /// Answers settings. A constructor that panics refuses.
    fn configured<T>(&self, id: u64, configure: impl FnOnce() -> Result<T, AdapterError>) -> Option<T> {
        let answer =
            |name: &str, says: &str| self.events.note(json!({"event": name, "id": id, "says": says}));
        match catch_unwind(AssertUnwindSafe(configure)) {
            Ok(Ok(configured)) => {
                answer("configured", "");
                return Some(configured);
            }
            Ok(Err(AdapterError::NotExpressible(what))) => answer("not expressible", what),
            Ok(Err(AdapterError::Refused(why))) => answer("refused", &why),
            Ok(Err(AdapterError::Verdict(verdict))) => answer("refused", &verdict.to_string()),
            Err(payload) => answer("refused", &panic_message(&*payload)),
        }
        None
    }
}

/// The last moment after this one that the clock can express.
pub(super) fn last_moment(start: Instant) -> Instant {
    let (mut last, mut step) = (start, Duration::MAX);
    while !step.is_zero() {
        match last.checked_add(step) {
            Some(later) => last = later,
            None => step /= 2,
        }
    }
    last
}

/// A time as a member of an event.
fn optional(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, from_time)
}

impl fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("library", &self.library).finish_non_exhaustive()
    }
}
