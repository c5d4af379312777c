//! Several workers of one harvest, as processes: starts them, shows them on one progress view and one page, and reports on
//! all of them together.
//!
//! The supervisor does no work of the harvest and has no state that a worker needs: workers that others have started join,
//! and any of them may be stopped or killed. What a killed worker had in hand is done by the others once its leases have
//! run out. A worker stops when its stdin closes, so that none outlives the supervisor, however that ends.
//!
//! | file | contents |
//! |---|---|
//! | `supervisor/start.rs` | from the flags to the report |
//! | `supervisor/command.rs`, `supervisor/children.rs` | the command line of a worker; the processes |
//! | `supervisor/member.rs`, `supervisor/lines.rs` | the workers and their numbers; the lines of the progress |
//! | `supervisor/report.rs`, `supervisor/exact.rs` | the report; the comparison of the rows with the API |

mod children;
mod command;
mod exact;
mod lines;
mod member;
mod report;
mod start;

pub(crate) use start::supervise;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use children::{Children, End};
use command::WorkerCommand;
use evenkeel::task::{Stop, group};
use exact::Comparison;
use lines::Lines;
use member::{Member, Process};
use report::TeamReport;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use crate::{
    board::{Board, Workers},
    cli::Team,
    error::Fatal,
    live::{self, Names, View},
    process::hostname,
    report::Ended,
    server::{Server, Site},
    stats::Stats,
    store::Store,
};

/// The time between two looks at the board; the looks between two views of the page, and between two lines that are not
/// redrawn.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS_PER_VIEW: u64 = 2;
const LOOKS_PER_LINE: u64 = 4;

/// The time until a worker is started in the place of one that died, times the number of the start.
const RESTART: Duration = Duration::from_millis(500);

/// The maximum number of workers that are started in the places of others.
const MAX_RESTARTS: usize = 10;

/// The time for a look at the store and the board.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The supervisor. A handle: clones are the same one.
#[derive(Clone, Debug)]
struct Supervisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    team: Team,
    command: WorkerCommand,
    store: Store,
    board: Board,
    stats: Arc<Stats>,
    names: Names,
    host: String,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    processes: Vec<Process>,
    board: Workers,
    restarts: usize,
    /// The failures on the board when they were read from the store.
    failures: u64,
}

impl Supervisor {
    fn new(
        team: Team,
        command: WorkerCommand,
        store: Store,
        board: Board,
        stats: Arc<Stats>,
        names: Names,
    ) -> Self {
        let (host, started, state) = (hostname(), Instant::now(), Mutex::default());
        Self(Arc::new(Shared { team, command, store, board, stats, names, host, started, state }))
    }

    /// Runs the workers until all have ended, and shows them on the page meanwhile, if there is one.
    async fn run(self, page: Option<live::Page>, stop: Stop) -> Result<(), Fatal> {
        let first = View { names: self.0.names.clone(), ..View::default() };
        let (sender, views) = watch::channel(first);
        let done = group(async |g| {
            if let Some(page) = page {
                g.task("page").spawn(page.serve(views));
            }
            self.supervise(sender, &stop).await?;
            Ok(())
        });
        done.await.map_err(|error| match error.downcast_ref::<Fatal>() {
            Some(fatal) => fatal.clone(),
            None => Fatal::Broken(format!("{error:#}")),
        })
    }

    async fn supervise(&self, views: watch::Sender<View>, stop: &Stop) -> Result<(), Fatal> {
        let mut children = Children::new(self.0.command.clone());
        let mut lines = Lines::new();
        for _ in 0..self.0.team.workers {
            self.start(&mut children)?;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut looked, mut is_stopping, mut is_to_kill) = (0_u64, false, self.0.team.kill);
        // The workers that are to be started again, and when.
        let (mut due, mut restart_at) = (0, Instant::now());
        while !children.is_empty() || due > 0 {
            tokio::select! {
                end = children.next_end(), if !children.is_empty() => {
                    self.ended(&end)?;
                    if !end.is_success() {
                        lines.say(&format!("worker {} has died: {end}", end.number));
                        let restarts = self.state(|state| state.restarts) + due;
                        if self.0.team.restart && !is_stopping && restarts < MAX_RESTARTS {
                            due += 1;
                            restart_at = Instant::now() + RESTART * (restarts as u32 + 1);
                        }
                    }
                }
                () = sleep_until(restart_at), if due > 0 => {
                    for _ in 0..std::mem::take(&mut due) {
                        self.start_again(&mut children, &lines)?;
                    }
                }
                () = stop.draining(), if !is_stopping => {
                    (is_stopping, due) = (true, 0);
                    children.stop();
                    lines.say("stopping: the workers finish what is in flight; once more to abort");
                }
                _ = looks.tick() => {
                    let view = self.look(is_stopping, None).await;
                    if is_to_kill && !is_stopping && view.totals.users * 2 >= view.totals.listed.max(1) {
                        is_to_kill = false;
                        if let Some(number) = children.kill_one() {
                            lines.say(&format!("worker {number} is killed (--kill), with no moment to clean up"));
                            if !self.0.team.restart {
                                self.start_again(&mut children, &lines)?;
                            }
                        }
                    }
                    if lines.are_redrawn() || looked.is_multiple_of(LOOKS_PER_LINE) {
                        lines.show(&self.lines(&view));
                    }
                    if looked.is_multiple_of(LOOKS_PER_VIEW) {
                        views.send_replace(view);
                    }
                    looked += 1;
                }
            }
        }
        let view = self.look(is_stopping, Some(self.end(is_stopping).await)).await;
        views.send_replace(view);
        Ok(())
    }

    fn state<R>(&self, read_or_change: impl FnOnce(&mut State) -> R) -> R {
        read_or_change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self, children: &mut Children) -> Result<usize, Fatal> {
        let started = children.start();
        let (number, pid) =
            started.map_err(|error| Fatal::Broken(format!("cannot start a worker: {error}")))?;
        self.state(|state| state.processes.push(Process { pid, end: None }));
        Ok(number)
    }

    fn start_again(&self, children: &mut Children, lines: &Lines) -> Result<(), Fatal> {
        self.state(|state| state.restarts += 1);
        let number = self.start(children)?;
        lines.say(&format!("worker {number} is started in its place"));
        Ok(())
    }

    /// Notes the end of a worker. One that refuses its input ends all.
    fn ended(&self, end: &End) -> Result<(), Fatal> {
        self.state(|state| {
            if let Some(process) = state.processes.get_mut(end.number - 1) {
                let words = if end.is_success() { "ended".into() } else { format!("dead: {end}") };
                process.end = Some((words, end.is_success()));
            }
        });
        if end.is_refusal() {
            return Err(Fatal::Input(end.last_line.trim_start_matches("harvest: ").to_owned()));
        }
        Ok(())
    }

    /// Reads the store and the board. Without them the view has the numbers from before.
    async fn look(&self, is_stopping: bool, ended: Option<Ended>) -> View {
        let read = async {
            let board = self.0.board.read().await.ok()?;
            // Before the workers are there, the rows are of a harvest before.
            let pids =
                self.state(|state| state.processes.iter().map(|process| process.pid).collect::<Vec<_>>());
            let is_ours = board.workers.iter().any(|worker| pids.contains(&worker.pid));
            if is_ours {
                // It is also noted in the counts.
                let _ = self.0.store.state().await;
                let told =
                    board.workers.iter().fold(0, |sum: u64, worker| sum.saturating_add(worker.failures));
                if told != self.state(|state| state.failures)
                    && let Ok(failures) = self.0.store.failures().await
                {
                    self.0.stats.with(|counts| counts.failures = failures);
                    self.state(|state| state.failures = told);
                }
            }
            is_ours.then_some(board)
        };
        let board = timeout(TIMEOUT, read).await.ok().flatten();
        let board = self.state(|state| {
            if let Some(board) = board {
                state.board = board;
            }
            let own = state.processes.iter().enumerate();
            for worker in state.board.workers.iter_mut().filter(|worker| worker.host == self.0.host) {
                if let Some((index, process)) = own.clone().find(|(_, process)| process.pid == worker.pid) {
                    worker.id = member::name(index);
                    worker.dead = process.end.as_ref().is_some_and(|(_, is_success)| !is_success);
                }
            }
            state.board.clone()
        });
        let seconds = self.0.started.elapsed().as_secs_f64();
        let mut view = View::new(self.0.names.clone(), &self.0.stats, board, seconds);
        (view.is_stopping, view.ended) = (is_stopping, ended);
        view
    }

    fn members(&self) -> Vec<Member> {
        self.state(|state| member::members(&state.processes, &self.0.host, &state.board))
    }

    fn lines(&self, view: &View) -> Vec<String> {
        lines::of(&self.members(), view)
    }

    /// Returns how the harvest has ended, once all workers have.
    async fn end(&self, is_stopping: bool) -> Ended {
        match timeout(TIMEOUT, self.0.store.state()).await {
            Ok(Ok(state)) if state.is_complete => Ended::Complete,
            _ if is_stopping => Ended::Drained,
            _ => Ended::Aborted,
        }
    }

    /// Returns the report, after the last worker has ended.
    async fn report(&self, ended: Ended, server: Option<(&Server, Site)>, rate: Option<u32>) -> TeamReport {
        let took = self.0.started.elapsed();
        let view = self.look(ended != Ended::Complete, Some(ended)).await;
        let (totals, failures) = self.0.stats.with(|counts| (counts.totals, counts.failures.clone()));
        let rows = match &server {
            Some((_, site)) if ended == Ended::Complete => {
                Comparison::of(&self.0.store, site, &failures).await.ok()
            }
            _ => None,
        };
        let workers = self.members();
        TeamReport {
            goes_on: true,
            ended,
            totals,
            unfinished: totals.listed.saturating_sub(totals.users),
            failures,
            died: workers.iter().filter(|member| member.is_dead).count(),
            workers,
            sums: view.sums,
            started_again: self.state(|state| state.restarts),
            seconds: took.as_secs_f64(),
            traffic: server.map(|(server, _)| server.traffic()),
            rate,
            rows,
            store: self.0.names.store.clone(),
            queue: self.0.names.queue.clone().unwrap_or_default(),
        }
    }
}
