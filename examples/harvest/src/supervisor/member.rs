//! The workers as the supervisor knows them: by their processes, and by the board.

use serde::Serialize;

use crate::{
    board::{WorkerState, Workers},
    workers::Condition,
};

/// A worker: a process of this supervisor, or one that has joined from elsewhere.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Member {
    /// `worker 3` by the order of the starts, or `guest` with its place.
    pub(super) name: String,
    pub(super) pid: u32,
    /// How it is, in words.
    pub(super) condition: String,
    /// Its process has ended otherwise than by itself.
    pub(super) is_dead: bool,
    /// Its last numbers, once it has written some.
    pub(super) state: Option<WorkerState>,
}

impl Member {
    /// Returns the line of the progress.
    pub(super) fn line(&self) -> String {
        let Self { name, pid, condition, state, is_dead } = self;
        let Some(state) = state else { return format!("{name:>9}: {condition}, process {pid}") };
        let now = if *is_dead || state.ended {
            String::new()
        } else {
            let WorkerState { in_flight, rate, .. } = state;
            format!(", {in_flight} calls in flight, {rate:.0} documents/s")
        };
        let WorkerState { users, retries, dead_letters, .. } = state;
        let lost = if *dead_letters > 0 { format!(", {dead_letters} dead letters") } else { String::new() };
        format!("{name:>9}: {condition}, {users} users, {retries} retries{lost}{now}")
    }
}

/// A process of this supervisor.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// How it has ended, and whether by itself.
    pub(super) end: Option<(String, bool)>,
}

/// Returns the workers: first the processes of this supervisor, by their numbers, then the others on the board.
pub(super) fn members(processes: &[Process], host: &str, board: &Workers) -> Vec<Member> {
    let is_of = |worker: &WorkerState, process: &Process| worker.pid == process.pid && worker.host == host;
    let own = processes.iter().enumerate().map(|(index, process)| {
        let state = board.workers.iter().find(|worker| is_of(worker, process)).cloned();
        let condition = match (&process.end, &state) {
            (Some((end, _)), _) => end.clone(),
            (None, Some(state)) => Condition::of(state, board.now).to_string(),
            (None, None) => "starting".into(),
        };
        let is_dead = process.end.as_ref().is_some_and(|(_, is_success)| !is_success);
        Member { name: format!("worker {}", index + 1), pid: process.pid, condition, is_dead, state }
    });
    let others =
        board.workers.iter().filter(|worker| !processes.iter().any(|process| is_of(worker, process)));
    let others = others.map(|worker| {
        let condition = Condition::of(worker, board.now);
        Member {
            name: format!("{} on {}", worker.pid, worker.host),
            pid: worker.pid,
            condition: condition.to_string(),
            is_dead: matches!(condition, Condition::Dead(_)),
            state: Some(worker.clone()),
        }
    });
    own.chain(others).collect()
}
