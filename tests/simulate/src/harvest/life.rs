//! One process: from its start to its end, by itself, by a stop or by a kill.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use evenkeel_shutdown::{Handle, Shutdown};
use harvest::{Ended, Fatal, Harvester, Quota, Setup, Url, Usage};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    API, World,
    account::Account,
    links::{Api, Postgres, Tasks},
    plan::{Fault, ms},
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
    stop: Option<(u64, Option<u64>)>,
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
                Fault::Stop { process, after, again } if process == number => stop = Some((after, again)),
                _ => {}
            }
        }
        let process = Process::new(kill.map(|(step, _)| step));
        let (answered, may_lose) =
            before.map_or_else(Default::default, |before| (before.answered, before.may_lose));
        let account = Account::new(world, process, number, answered, may_lose);
        Self { world, number, account, tasks: Tasks::default(), kill, stop }
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
            Some(end) => self.check(started, end).await,
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
        if let Some((after, again)) = self.stop {
            sleep_until(started + ms(after)).await;
            note!(self.world.trace, "process {} gets a signal", self.number);
            handle.signal(SIGNAL);
            if let Some(again) = again {
                sleep(ms(again)).await;
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
    async fn check(&self, started: Instant, end: RunEnd) -> Result<LifeEnd, String> {
        let World { trace, plan, .. } = &**self.world;
        let ended_at = Instant::now();
        note!(trace, "process {} ends: {:?}", self.number, end.result);
        self.check_time(started, &end, ended_at)?;
        let RunEnd { harvester, result, took, .. } = end;
        if let Some(harvester) = harvester {
            self.is_idle(&harvester).await?;
            let ended = *result.as_ref().unwrap_or(&Ended::Aborted);
            self.check_report(&harvester.report(ended, took).json(), ended)?;
        }
        sleep(ms(1)).await;
        let left = self.tasks.left();
        if left > 0 {
            return Err(self.fail(|| format!("{left} connections to the API outlive it")));
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
    fn check_time(&self, started: Instant, end: &RunEnd, ended_at: Instant) -> Result<(), String> {
        let (Some(opened_at), Some((after, again))) = (end.opened_at, self.stop) else { return Ok(()) };
        let signal_at = started + ms(after);
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

    /// Nothing is in use behind the end of a run.
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

    /// A run fails for a reason of the script alone.
    fn may_fail(&self, fatal: &Fatal) -> Result<(), String> {
        let faults = &self.world.faults;
        let of_store = faults.iter().filter(|fault| fault.is_of_store()).count();
        let of_network = faults.iter().filter(|fault| fault.is_of_network()).count();
        // One fault of the store does not end a run, and neither do faults of single answers.
        if of_store > 1 || of_network > 0 {
            return Ok(());
        }
        Err(self.fail(|| format!("it gives up: {fatal}")))
    }

    fn check_report(&self, json: &str, ended: Ended) -> Result<(), String> {
        super::check::report(self.world, &self.account, json, ended).map_err(|promise| self.fail(|| promise))
    }
}
