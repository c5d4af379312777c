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
use serde_json::json;

use super::{
    children::IdleChildren,
    facts::Facts,
    link::{Link, take_verdict},
    names::capabilities,
    pipes::Pipes,
    session::{Session, SettingsSeen},
    wire::{Members, VERSION, object},
};
use crate::{
    Adapter, AdapterError, Pattern, Report, Rule, Suite, Verdict, apart,
    rule::{Needs, Runtime},
    timeline::{add_to_trace, is_traced, traced},
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
    settings: Arc<SettingsSeen>,
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
            idle: IdleChildren::with(pipes),
            settings: Arc::default(),
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
        let mut verdict = rule.check_once_apart(self);
        let found = take_verdict();
        self.finish_links();
        let errors = self.idle.end_rule(verdict.failed() || is_traced());
        add_to_trace(&errors);
        if let Verdict::Fail { timeline, .. } = &mut verdict {
            timeline.extend(errors);
        }
        match (found, take_verdict()) {
            (Some(found), _) => found,
            // A leak is no news where the rule does not hold.
            (None, Some(left)) if !verdict.failed() => left,
            _ => verdict,
        }
    }

    /// Ends the worlds of this thread for their children.
    fn finish_links(&self) {
        let links: Vec<Known> = LINKS
            .with_borrow_mut(|links| links.extract_if(.., |known| known.process == self.number).collect());
        for Known { link, .. } in links {
            if let Some(pipes) = link.finish() {
                self.idle.give_back(pipes);
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

    /// Whether the implementation has refused all settings so far, and some: rules that hold then say little.
    #[must_use]
    pub fn refuses_all(&self) -> bool {
        self.settings.refuses_all()
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
        let session = Arc::new(Session { link, settings: self.settings.clone(), tells_drops, cuts });
        LINKS.with_borrow_mut(|links| {
            links.retain(|known| known.process != self.number);
            let (process, link) = (self.number, session.link.clone());
            links.push(Known { process, link, session: Arc::downgrade(&session) });
        });
        Ok(session)
    }

    /// A child for tests on a clock of their own, and the idle ones, to which it goes back.
    pub(super) fn lend(&self) -> Result<(Pipes, IdleChildren), AdapterError> {
        Ok((self.child()?, self.idle.clone()))
    }

    /// An idle child, or a new one.
    fn child(&self) -> Result<Pipes, AdapterError> {
        match self.idle.take() {
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

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("facts", &self.facts).finish_non_exhaustive()
    }
}
