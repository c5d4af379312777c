//! Harvest, the program of `examples/harvest`: its API and its PostgreSQL server in memory, one process after the other.

mod account;
mod check;
mod life;
mod links;
mod names;
mod plan;
mod site;
mod statements;
mod tables;

use std::sync::Arc;

use evenkeel_testkit::{
    http,
    net::{Link, MemNet, Toxics},
};
use evenkeel_testkit_pg::{Reply, ReplyFault, ReplyStep, Server, Statement};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::{
    life::Life,
    plan::{Plan, draw, ms},
    site::Site,
    tables::Database,
};
pub use self::{
    names::EVENTS,
    plan::{Answer, Fault, Moment, NetworkFault, StatementFault},
};
use crate::{Checks, Random, Script, Subject, Trace, note};

/// The processes after which a harvest has to be complete.
const MOST_LIVES: u64 = 60;

const API: &str = "api.test";
const DATABASE: &str = "db.test:5432";

/// The program of `examples/harvest`, through stops, crashes and faults of all that it reaches, until it is complete.
///
/// Promises: the rows are those of the API, each once; a report adds up; no more calls are in flight than allowed, and no
/// more begin than the rate grants; what is stored is not called for again, and a crash repeats no more calls than may be
/// in flight; a document gets its attempts; a stop ends in its time; nothing is left.
#[derive(Clone, Copy, Debug)]
pub struct Harvest;

/// The parts of the world that all processes of a run share.
#[derive(Debug)]
struct World {
    seed: u64,
    plan: Plan,
    faults: Vec<Fault>,
    site: Arc<Site>,
    database: Database,
    net: MemNet,
    api: http::Server,
    server: Server,
    checks: Checks,
    trace: Trace,
    start: Instant,
}

impl Subject for Harvest {
    type Fault = Fault;

    fn name(&self) -> &'static str {
        "harvest"
    }

    fn draw(&self, random: &mut Random) -> Script<Fault> {
        draw(random)
    }

    async fn simulate(&self, seed: u64, script: &Script<Fault>, trace: &Trace) -> Result<(), String> {
        let world = Arc::new(World::new(seed, script, trace)?);
        // Dropping it aborts its tasks.
        let mut faults = JoinSet::new();
        for fault in world.faults.iter().copied().filter(|fault| fault.time().is_some()) {
            faults.spawn(break_in(Arc::clone(&world), fault));
        }
        tokio::select! {
            biased;
            promise = world.checks.broken() => return Err(promise),
            result = until_complete(&world) => result?,
        }
        world.checks.result()?;
        faults.shutdown().await;
        // A fault that ends with the run must not keep the ends of connections from arriving.
        world.link(false).heal();
        world.link(true).heal();
        world.is_over().await
    }
}

/// Runs one process after the other.
async fn until_complete(world: &Arc<World>) -> Result<(), String> {
    let (mut last, mut passes) = (None, 0);
    for number in 0..MOST_LIVES {
        let life = Life::new(world, number, last.take());
        let end = life.live().await?;
        world.checks.result()?;
        if end.is_complete {
            world.rows_are_exact()?;
            passes += 1;
            world.trace.reached_times("second passes", u64::from(passes > 1));
        }
        if passes == world.plan.passes {
            world.trace.reached_times("processes", number + 1);
            return Ok(());
        }
        last = Some(end);
    }
    Err(format!("it is not complete after {MOST_LIVES} processes"))
}

impl World {
    fn new(seed: u64, script: &Script<Fault>, trace: &Trace) -> Result<Self, String> {
        let (plan, faults) = (Plan::new(script), script.faults.clone());
        let net = MemNet::new().seed(seed);
        let site = Arc::new(Site::new(seed, plan, &faults, trace));
        let api = http::Server::mem(&net, API).map_err(|error| error.to_string())?;
        let answering = Arc::clone(&site);
        api.when(|_| true).reply_with(move |call| answering.answer(call));
        let database = Database::new(seed, plan, trace)?;
        let server = Server::mem_with(&net, DATABASE, database.clone()).map_err(|error| error.to_string())?;
        script_statements(&server, &faults);
        let (checks, trace, start) = (Checks::default(), trace.clone(), Instant::now());
        Ok(Self { seed, plan, faults, site, database, net, api, server, checks, trace, start })
    }

    fn link(&self, is_database: bool) -> Link {
        if is_database { self.server.link().clone() } else { self.api.link().clone() }
    }

    /// The promises at the end: the rows are exact, and nothing is left.
    async fn is_over(&self) -> Result<(), String> {
        // A server notices the end of a connection behind the statement that it runs.
        sleep(ms(15_000)).await;
        let (calls, sessions) = (self.api.in_flight(), self.server.connections());
        if sessions > 0 {
            return Err(format!("{sessions} sessions are left at the database"));
        }
        if calls > 0 && !self.faults.iter().any(Fault::is_of_network) {
            return Err(format!("{calls} calls are left at the API"));
        }
        if let Some(broken) = self.database.broken() {
            return Err(format!("a statement that the simulation does not run: {broken}"));
        }
        self.rows_are_exact()?;
        self.trace.reached_times("users", self.plan.users);
        self.count_faults_of_statements();
        Ok(())
    }

    fn count_faults_of_statements(&self) {
        let statements = self.server.statements();
        let is_commit = |statement: &&Statement| statement.sql == "COMMIT";
        let commits = statements.iter().filter(is_commit).count() as u64;
        for fault in &self.faults {
            match *fault {
                Fault::Statement { number, fault } if number <= statements.len() as u64 => {
                    self.trace.reached(fault.name(false));
                }
                Fault::Commit { number, fault } if number < commits => self.trace.reached(fault.name(true)),
                _ => {}
            }
        }
    }
}

/// Puts the faults of statements and commits into the server.
fn script_statements(server: &Server, faults: &[Fault]) {
    let mut commits: Vec<(u64, StatementFault)> = Vec::new();
    for fault in faults {
        match *fault {
            Fault::Statement { number, fault } => {
                server.on_nth(number as usize).reply(reply(fault)).times(1);
            }
            Fault::Commit { number, fault } => commits.push((number, fault)),
            _ => {}
        }
    }
    commits.sort_by_key(|(number, _)| *number);
    commits.dedup_by_key(|(number, _)| *number);
    let mut script = server.on("COMMIT");
    let mut next = 0;
    for (number, fault) in commits {
        if number > next {
            script.then(Reply::run()).times((number - next) as usize);
        }
        script.then(reply(fault)).times(1);
        next = number + 1;
    }
}

fn reply(fault: StatementFault) -> Reply {
    match fault {
        StatementFault::Conflict => Reply::error("40001"),
        StatementFault::Deadlock => Reply::error("40P01"),
        StatementFault::Killed => Reply::fatal("57P01"),
        StatementFault::Reset => Reply::reset(),
        StatementFault::LostAnswer => Reply::run().fault(ReplyStep::CommandComplete, ReplyFault::Reset),
        StatementFault::HalfAnswer => Reply::run().fault(ReplyStep::CommandComplete, ReplyFault::Half),
        StatementFault::Slow(millis) => Reply::run().latency(ms(millis)),
    }
}

/// Breaks the network or the database at its time.
async fn break_in(world: Arc<World>, fault: Fault) {
    sleep_until(world.start + ms(fault.time().unwrap_or(0))).await;
    note!(world.trace, "{fault:?}");
    match fault {
        Fault::Network { time, fault, is_database, .. } => {
            let link = world.link(is_database);
            match fault {
                NetworkFault::Reset => link.reset(),
                NetworkFault::Close => link.cut(),
                NetworkFault::Refuse => link.refuse(usize::MAX),
                NetworkFault::Partition => link.both(Toxics::new().partition()),
                NetworkFault::ResetAt(bytes) => link.downstream(Toxics::new().reset_data(bytes)),
                NetworkFault::Slow => link.both(Toxics::new().latency(ms(7)).slicer(60, 50, ms(2))),
            }
            sleep(ms(time)).await;
            link.heal();
            world.trace.reached(fault.name(is_database));
        }
        Fault::Terminate { .. } => {
            world.server.terminate_all();
            world.trace.reached("database: sessions ended");
        }
        Fault::Failover { rejects, time, .. } => {
            world.server.terminate_all();
            world.server.reject(rejects as usize, "57P03");
            world.database.set_read_only(true);
            sleep(ms(time)).await;
            world.database.set_read_only(false);
            world.trace.reached("database: failovers");
        }
        Fault::ClockJump { seconds, .. } => {
            world.database.jump(seconds);
            world.trace.reached("database: clock jumps");
        }
        _ => {}
    }
    note!(world.trace, "over: {fault:?}");
}
