//! An implementation in another process: its facts, its idle children, and the rules that are run against it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    num::NonZero,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_testkit::World;
use serde_json::{Value, json};

use super::{
    link::{Link, take_verdict},
    names::{PATTERNS, capabilities, unknown},
    pipes::Pipes,
    wire::{Members, Object, VERSION, object},
};
use crate::{
    Adapter, AdapterError, Pattern, Report, Rule, Suite, Verdict, apart,
    rule::{Needs, Runtime},
    timeline::traced,
};

/// How long the answer to one line may take, in real time.
const LIMIT: Duration = Duration::from_secs(10);

/// An implementation behind the [protocol](super), in a child process: an [`Adapter`] of each pattern that it claims.
///
/// Each rule has a fresh start, and each thread that runs rules a child of its own. Dropping it ends the children.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::{protocol::Process, retry};
///
/// let tenacity = Process::start(|| {
///     let mut command = std::process::Command::new("python3");
///     command.arg("tenacity_adapter.py");
///     command
/// })?;
/// println!("{}", tenacity.run(&retry::SUITE));
/// # Ok::<(), evenkeel_tck::Verdict>(())
/// ```
pub struct Process {
    number: u64,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    limit: Duration,
    facts: Facts,
    idle: IdleChildren,
}

/// The children that no rule uses.
pub(crate) type IdleChildren = Arc<Mutex<Vec<Pipes>>>;

/// The facts that an adapter tells of itself.
#[derive(Clone, Debug)]
struct Facts {
    library: String,
    version: String,
    runtime: String,
    can: Vec<String>,
    patterns: HashMap<String, HashMap<String, Result<(), &'static str>>>,
}

/// The rule's end of a [`Link`]; the last one closes it.
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    /// Whether the implementation tells when it lets go of an attempt.
    pub(crate) tells_drops: bool,
    /// Whether the wait for the next result of a stream can be cancelled, and made again.
    pub(crate) cuts: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.close();
    }
}

thread_local! {
    /// Whether tasks of the rule on this thread panic.
    static PANICS: Cell<bool> = const { Cell::new(false) };

    /// The links that the rule on this thread has made, each with the number of its process.
    static LINKS: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// A link stays until the rule makes one in another world, or ends: the implementation keeps its state.
struct Known {
    process: u64,
    link: Arc<Link>,
    session: Weak<Session>,
}

impl Process {
    /// Starts a child, and asks for its facts.
    ///
    /// # Errors
    /// The verdict on an adapter that does not start, or does not keep the protocol.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static) -> Result<Self, Verdict> {
        Self::start_within(LIMIT, command)
    }

    /// As [`start`](Self::start), with another limit of real time for the answer to one line, in place of 10 s.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_within(
        limit: Duration,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Result<Self, Verdict> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (pipes, facts) = greet(command(), limit)?;
        Ok(Self {
            number: NUMBER.fetch_add(1, Relaxed),
            command: Box::new(command),
            limit,
            facts,
            idle: Arc::new(Mutex::new(vec![pipes])),
        })
    }

    /// The library under test.
    #[must_use]
    pub fn library(&self) -> &str {
        &self.facts.library
    }

    /// The version of the library.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.facts.version
    }

    /// The language, its version and its runtime.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.facts.runtime
    }

    /// Tests the implementation with all rules that can be put to another process, on as many threads as there are processors.
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn run<S: Pattern>(&self, suite: &Suite<S>) -> Report
    where
        Self: Adapter<S>,
    {
        let (mut verdicts, mut left) = (HashMap::new(), suite.rules().collect::<Vec<_>>());
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|rule| rule.after.is_none_or(|id| verdicts.contains_key(id)));
            // A rule whose foundation does not hold is not checked: `run_by` says so.
            let holds =
                |rule: &&Rule<S>| rule.after.is_none_or(|id| !verdicts.get(id).is_some_and(Verdict::failed));
            let (sound, unsound): (Vec<_>, Vec<_>) = ready.into_iter().partition(holds);
            let checked = self.check_all(&sound);
            let unsound = unsound.into_iter().map(|rule| (rule.id, Verdict::Untested(String::new())));
            verdicts.extend(checked.into_iter().chain(unsound));
            left = later;
        }
        suite.run_by(|rule| verdicts.remove(rule.id).unwrap_or_else(|| Verdict::Untested(String::new())))
    }

    /// Checks rules beside each other.
    fn check_all<S: Pattern>(&self, rules: &[&'static Rule<S>]) -> Vec<(&'static str, Verdict)>
    where
        Self: Adapter<S>,
    {
        let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let worker = || {
            while let Some(rule) = rules.get(next.fetch_add(1, Relaxed)) {
                let verdict = self.check(*rule);
                lock(&verdicts).push((rule.id, verdict));
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(rules.len());
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
        verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tests it with one rule.
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn check<S: Pattern>(&self, rule: &Rule<S>) -> Verdict
    where
        Self: Adapter<S>,
    {
        match self.lacks(rule.id, rule.needs) {
            Some(verdict) => verdict,
            None => rule.check_by(|| self.once(rule)),
        }
    }

    /// Tests it once with one rule, and returns all events of the rule, too.
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn trace<S: Pattern>(&self, rule: &Rule<S>) -> (Verdict, Vec<String>)
    where
        Self: Adapter<S>,
    {
        match self.lacks(rule.id, rule.needs) {
            Some(verdict) => (verdict, Vec::new()),
            None => traced(|| self.once(rule)),
        }
    }

    fn once<S: Pattern>(&self, rule: &Rule<S>) -> Verdict
    where
        Self: Adapter<S>,
    {
        take_verdict();
        PANICS.set(rule.panics());
        let verdict = rule.check_once_apart(self);
        let found = take_verdict();
        self.finish_links();
        match (found, take_verdict()) {
            (Some(found), _) => found,
            // A leak is no news where the rule does not hold.
            (None, Some(left)) if !verdict.failed() => left,
            _ => verdict,
        }
    }

    /// Ends the worlds of this thread for the children, which are free then.
    fn finish_links(&self) {
        let links: Vec<Known> = LINKS
            .with_borrow_mut(|links| links.extract_if(.., |known| known.process == self.number).collect());
        for Known { link, .. } in links {
            if let Some(pipes) = link.finish() {
                lock(&self.idle).push(pipes);
            }
        }
    }

    /// The verdict on a rule that needs what this implementation does not have, or what no other process can have.
    fn lacks(&self, id: &str, needs: &[Needs]) -> Option<Verdict> {
        let pattern = id.split('-').next().unwrap_or_default().to_lowercase();
        if !self.facts.patterns.contains_key(&pattern) {
            return Some(Verdict::Unsupported(format!("the adapter claims nothing of {pattern}")));
        }
        needs.iter().find_map(|need| match need {
            Needs::InProcess(what) => Some(Verdict::NotExpressible(format!("in another process: {what}"))),
            Needs::Runtime(feature) if !self.can(*feature) => {
                Some(Verdict::Unsupported(format!("{}: not in its runtime", feature.name())))
            }
            Needs::Runtime(_) => None,
        })
    }

    fn can(&self, feature: Runtime) -> bool {
        self.facts.can.iter().any(|can| can == feature.name())
    }

    /// The capabilities of a pattern that the adapter neither claims nor withholds. Rules that need them are not put to it.
    #[must_use]
    pub fn unclaimed(&self, pattern: &str) -> Vec<String> {
        let Some(claims) = self.facts.patterns.get(pattern) else { return Vec::new() };
        let names = capabilities(pattern).into_iter().map(|(name, _)| name);
        names.filter(|name| !claims.contains_key(name)).collect()
    }

    /// Whether the implementation has a capability, which reports call by this name.
    pub(crate) fn claims(&self, pattern: &str, capability: &str) -> Result<(), &'static str> {
        let claimed = self.facts.patterns.get(pattern).and_then(|claims| claims.get(capability));
        claimed.copied().unwrap_or(Err("the adapter does not claim it"))
    }

    /// The session of the world on this thread.
    pub(crate) fn session(&self) -> Result<Arc<Session>, AdapterError> {
        let Some(world) = World::current() else {
            return Err(AdapterError::NotExpressible("a runtime of its own, in another process"));
        };
        let known = LINKS.with_borrow(|links| {
            let own = links.iter().find(|known| known.process == self.number && known.link.is_of(&world));
            own.map(|known| (known.link.clone(), known.session.upgrade()))
        });
        let link = match known {
            Some((_, Some(session))) => return Ok(session),
            Some((link, None)) => link,
            None => self.begin(world)?,
        };
        if link.open() {
            let driven = link.clone();
            tokio::task::spawn_local(async move { driven.drive().await });
        }
        let (tells_drops, cuts) = (self.can(Runtime::Drops), self.can(Runtime::Cut));
        let session = Arc::new(Session { link, tells_drops, cuts });
        LINKS.with_borrow_mut(|links| {
            links.retain(|known| known.process != self.number);
            let (process, link) = (self.number, session.link.clone());
            links.push(Known { process, link, session: Arc::downgrade(&session) });
        });
        Ok(session)
    }

    /// A child for tests on a clock of their own, and the idle ones, to which it goes back.
    pub(crate) fn lend(&self) -> Result<(Pipes, IdleChildren), AdapterError> {
        Ok((self.child()?, self.idle.clone()))
    }

    /// An idle child, or a new one.
    fn child(&self) -> Result<Pipes, AdapterError> {
        let idle = lock(&self.idle).pop();
        match idle {
            Some(pipes) => Ok(pipes),
            None => Ok(greet((self.command)(), self.limit).map_err(AdapterError::Verdict)?.0),
        }
    }

    /// A link in a new world.
    fn begin(&self, world: World) -> Result<Arc<Link>, AdapterError> {
        self.finish_links();
        let mut pipes = self.child()?;
        pipes.begin();
        let link = Arc::new(Link::new(world, pipes, self.limit));
        link.send(json!({"do": "begin", "panics": PANICS.get()}));
        let seen: Weak<Link> = Arc::downgrade(&link);
        apart::register(seen);
        Ok(link)
    }
}

impl Session {
    /// Configures something: returns its id.
    pub(crate) fn configure(&self, what: &str, settings: Value) -> Result<u64, AdapterError> {
        let id = self.link.id();
        let (name, event) = self.link.ask(id, &json!({"do": what, "id": id, "settings": settings}));
        let why = event.text("says").unwrap_or("no reason").to_owned();
        match name.as_str() {
            "configured" => Ok(id),
            "refused" => Err(AdapterError::Refused(why)),
            "not expressible" => Err(AdapterError::Verdict(Verdict::NotExpressible(why))),
            _ => self.link.refuse(&format!("the settings are answered by {name}")),
        }
    }
}

/// Starts a child, and asks for its facts.
fn greet(command: Command, limit: Duration) -> Result<(Pipes, Facts), Verdict> {
    let name = format!("{command:?}");
    let started = Pipes::start(command);
    let mut pipes = started.map_err(|error| Verdict::Untested(format!("{name} does not start: {error}")))?;
    let hello = vec![object(json!({"do": "hello", "protocol": VERSION}))];
    let (_, events) = pipes.exchange(Duration::ZERO, Duration::ZERO, hello, limit)?;
    let facts = events.iter().find(|event| event.text("event") == Ok("hello"));
    let facts = facts.ok_or_else(|| "no event `hello`".to_owned()).and_then(Facts::read);
    match facts {
        Ok(facts) => Ok((pipes, facts)),
        Err(what) => Err(pipes.bad(&what)),
    }
}

impl Facts {
    fn read(hello: &Object) -> Result<Self, String> {
        let version = hello.number("protocol")?;
        if version != VERSION {
            return Err(format!("it speaks version {version} of the protocol, and not {VERSION}"));
        }
        let can = hello.get("can").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut patterns = HashMap::new();
        for name in can.iter().filter_map(Value::as_str) {
            if !Runtime::NAMES.contains(&name) {
                return Err(unknown("feature of a runtime", name, &Runtime::NAMES));
            }
        }
        for pattern in PATTERNS {
            let Some(claims) = hello.get(pattern) else { continue };
            let claims = claims.as_object().ok_or_else(|| format!("`{pattern}` is no object"))?;
            let known: Vec<String> = capabilities(pattern).into_iter().map(|(name, _)| name).collect();
            if let Some(name) = claims.keys().find(|name| !known.contains(name)) {
                return Err(unknown(&format!("capability of {pattern}"), name, &known));
            }
            let claims = claims.iter().map(|(name, claim)| (name.clone(), claimed(claim))).collect();
            patterns.insert(pattern.to_owned(), claims);
        }
        Ok(Self {
            library: hello.text("library")?.to_owned(),
            version: hello.text("version")?.to_owned(),
            runtime: hello.text("runtime")?.to_owned(),
            can: can.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            patterns,
        })
    }
}

/// `true`, or the reason for which there is none.
fn claimed(claim: &Value) -> Result<(), &'static str> {
    match claim {
        Value::Bool(true) => Ok(()),
        // Reasons are for the whole run, and a child is asked for them when it starts.
        Value::String(why) => Err(Box::leak(why.clone().into_boxed_str())),
        _ => Err("the adapter does not claim it"),
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("facts", &self.facts).finish_non_exhaustive()
    }
}
