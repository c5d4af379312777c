//! One process: from its start to its end, by itself, by a stop or by a kill.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use evenkeel_shutdown::{Handle, Shutdown};
use harvest::{Ended, Fatal, Harvester, Quota, Setup, Url, Usage};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    API, World,
    account::Account,
    links::{Api, Postgres, Tasks},
    plan::{Fault, LOST, Moment, ms},
    site::Document,
};
use crate::{Process, note};

/// The time for the last look at the store, beyond the grace period.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The time in which connections are cleaned up that were cut off: a request to cancel, and its reply.
const CLEAN_UP: Duration = Duration::from_secs(15);

/// A time by which timers are late.
const LATE: Duration = Duration::from_millis(2);

/// SIGTERM.
const SIGNAL: i32 = 15;

/// The process that has ended, for the next one.
#[derive(Debug)]
pub(super) struct LifeEnd {
    pub(super) is_complete: bool,
    /// The documents that it was answered.
    answered: BTreeSet<Document>,
    /// How many of them it need not have stored.
    may_lose: u64,
}

pub(super) struct Life<'a> {
    world: &'a Arc<World>,
    number: u64,
    account: Arc<Account>,
    tasks: Tasks,
    kill: Option<(u64, u64)>,
    stop: Option<(Moment, Option<u64>)>,
    /// The time of the first signal.
    signalled: OnceLock<Instant>,
}

/// The end of a run of the program.
struct RunEnd {
    opened_at: Option<Instant>,
    harvester: Option<Harvester>,
    result: Result<Ended, Fatal>,
    took: Duration,
}

impl<'a> Life<'a> {
    pub(super) fn new(world: &'a Arc<World>, number: u64, before: Option<LifeEnd>) -> Self {
        let (mut kill, mut stop) = (None, None);
        for fault in &world.faults {
            match *fault {
                Fault::Kill { process, step, down } if process == number => kill = Some((step, down)),
                Fault::Stop { process, at, again } if process == number => stop = Some((at, again)),
                _ => {}
            }
        }
        let process = Process::new(kill.map(|(step, _)| step));
        let (answered, may_lose) =
            before.map_or_else(Default::default, |before| (before.answered, before.may_lose));
        let account = Account::new(world, process, number, answered, may_lose);
        let (tasks, signalled) = (Tasks::default(), OnceLock::new());
        Self { world, number, account, tasks, kill, stop, signalled }
    }

    /// Runs the program, and checks how it ends.
    pub(super) async fn live(self) -> Result<LifeEnd, String> {
        let World { trace, plan, .. } = &**self.world;
        note!(trace, "process {} starts", self.number);
        let (shutdown, _) = Shutdown::manual();
        let shutdown = shutdown.grace(ms(plan.grace));
        let handle = shutdown.handle();
        let started = Instant::now();
        let end = tokio::select! {
            biased;
            () = self.account.process.killed() => None,
            end = self.account.process.runs(self.run(shutdown)) => Some(end),
            () = self.signal(handle, started) => None,
        };
        match end {
            None => {
                self.kill().await;
                Ok(self.end(false, plan.concurrency))
            }
            Some(end) => self.check(end).await,
        }
    }

    async fn run(&self, shutdown: Shutdown) -> RunEnd {
        let World { plan, seed, .. } = &**self.world;
        let rate = u32::try_from(plan.rate).ok().and_then(std::num::NonZeroU32::new);
        let setup = Setup {
            source: format!("seed {seed}"),
            base: Url::parse(&format!("http://{API}/")).expect("it is the URL of a host"),
            store: format!("postgres://app@{}/app", super::DATABASE)
                .parse()
                .expect("it is the URL of a database"),
            concurrency: plan.concurrency as usize,
            rate,
            latency: plan.is_known.then(|| ms(plan.latency)),
            chaos: None,
        };
        let (api, postgres) = (Api::new(&self.account, &self.tasks), Postgres::new(&self.account));
        let opened = Harvester::open(setup, Quota::own(rate), Arc::new(api), Arc::new(postgres)).await;
        let harvester = match opened {
            Ok(harvester) => harvester,
            Err(fatal) => {
                let took = Duration::ZERO;
                return RunEnd { opened_at: None, harvester: None, result: Err(fatal), took };
            }
        };
        let opened_at = Instant::now();
        let result = harvester.run(shutdown).await;
        let took = opened_at.elapsed();
        RunEnd { opened_at: Some(opened_at), harvester: Some(harvester), result, took }
    }

    /// Sends the signals of the script; never ends.
    async fn signal(&self, handle: Handle, started: Instant) {
        if let Some((at, again)) = self.stop {
            let trace = &self.world.trace;
            match at {
                Moment::Time(after) => {
                    sleep_until(started + ms(after)).await;
                    trace.reached("stops at a time");
                }
                Moment::Poll(poll) => {
                    self.account.process.reaches(poll).await;
                    trace.reached("stops at a poll");
                }
            }
            note!(trace, "process {} gets a signal", self.number);
            self.signalled.get_or_init(Instant::now);
            handle.signal(SIGNAL);
            if let Some(again) = again {
                sleep(ms(again)).await;
                trace.reached("second signals");
                handle.signal(SIGNAL);
            }
        }
        std::future::pending().await
    }

    /// Removes what is left of the process.
    async fn kill(&self) {
        let World { trace, .. } = &**self.world;
        note!(trace, "process {} was killed", self.number);
        trace.reached("kills");
        self.world.link(false).reset();
        self.world.link(true).reset();
        self.tasks.abort();
        // A task that is woken at this instant is dropped behind its turn.
        sleep(ms(1 + self.kill.map_or(0, |(_, down)| down))).await;
    }

    fn end(&self, is_complete: bool, may_lose: u64) -> LifeEnd {
        self.account.check_rate();
        LifeEnd { is_complete, answered: self.account.all_answered(), may_lose }
    }

    fn fail(&self, promise: impl FnOnce() -> String) -> String {
        format!("process {}: {}", self.number, promise())
    }

    /// Checks the end of a run that was not killed.
    async fn check(&self, end: RunEnd) -> Result<LifeEnd, String> {
        let World { trace, plan, .. } = &**self.world;
        let ended_at = Instant::now();
        note!(trace, "process {} ends: {:?}", self.number, end.result);
        self.check_time(&end, ended_at)?;
        let RunEnd { harvester, result, took, .. } = end;
        if let Some(harvester) = &harvester {
            let ended = *result.as_ref().unwrap_or(&Ended::Aborted);
            self.check_report(&harvester.report(ended, took).json(), ended)?;
        }
        let is_killed = tokio::select! {
            biased;
            () = self.account.process.killed() => true,
            left = self.leaves_nothing(harvester) => left.map(|()| false)?,
        };
        trace.reached_times("polls", self.account.process.steps());
        if is_killed {
            // Behind its work, while its connections end: they do no more.
            trace.reached("kills behind a run");
            self.kill().await;
        }
        match result {
            Ok(Ended::Complete) => {
                trace.reached("complete");
                Ok(self.end(true, 0))
            }
            // One page may have been read and not stored.
            Ok(Ended::Drained) => {
                trace.reached("drains");
                Ok(self.end(false, 1))
            }
            Ok(_) => {
                trace.reached("aborts");
                Ok(self.end(false, plan.concurrency))
            }
            Err(fatal) => {
                self.may_fail(&fatal)?;
                trace.reached("runs that failed");
                sleep(ms(500)).await;
                Ok(self.end(false, plan.concurrency))
            }
        }
    }

    /// A stop ends in its time.
    fn check_time(&self, end: &RunEnd, ended_at: Instant) -> Result<(), String> {
        let (Some(opened_at), Some(signal_at)) = (end.opened_at, self.signalled.get().copied()) else {
            return Ok(());
        };
        let again = self.stop.and_then(|(_, again)| again);
        let grace = ms(self.world.plan.grace);
        // A signal that follows within 200 ms counts as the same one.
        let budget = match again.filter(|again| *again > 200) {
            Some(again) if signal_at >= opened_at => grace.min(ms(again)),
            _ => grace,
        };
        let latest = signal_at.max(opened_at) + budget + LAST_LOOK + LATE;
        if ended_at <= latest {
            return Ok(());
        }
        Err(self.fail(|| format!("it ends {:?} after its time to stop was over", ended_at - latest)))
    }

    /// Nothing is in use behind the end of a run, and no connection outlives the process.
    async fn leaves_nothing(&self, harvester: Option<Harvester>) -> Result<(), String> {
        if let Some(harvester) = harvester {
            self.is_idle(&harvester).await?;
        }
        sleep(ms(1)).await;
        match self.tasks.left() {
            0 => Ok(()),
            left => Err(self.fail(|| format!("{left} connections to the API outlive it"))),
        }
    }

    async fn is_idle(&self, harvester: &Harvester) -> Result<(), String> {
        let by = Instant::now() + CLEAN_UP;
        loop {
            match harvester.usage() {
                usage if usage == Usage::default() => return Ok(()),
                usage if Instant::now() > by => {
                    return Err(self.fail(|| format!("it has ended, and has {usage:?}")));
                }
                _ => sleep(ms(50)).await,
            }
        }
    }

    /// A run fails for a reason of the script alone: the store, or the first page. One fault of the store does not end it,
    /// and neither do several that last no longer than a store may be lost, or faults of single answers.
    fn may_fail(&self, fatal: &Fatal) -> Result<(), String> {
        let (faults, text) = (&self.world.faults, fatal.to_string());
        let of_store = || faults.iter().filter(|fault| fault.is_of_store());
        let is_due = match text.contains("cannot use the store") || text.contains("cannot store") {
            true => of_store().count() > 1 && of_store().map(Fault::outage).sum::<u64>() > LOST,
            false => text.contains("/users.json: ") && faults.iter().any(Fault::is_of_network),
        };
        if is_due { Ok(()) } else { Err(self.fail(|| format!("it gives up: {text}"))) }
    }

    fn check_report(&self, json: &str, ended: Ended) -> Result<(), String> {
        super::check::report(self.world, &self.account, json, ended).map_err(|promise| self.fail(|| promise))
    }
}
