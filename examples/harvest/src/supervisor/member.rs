//! The workers as the supervisor knows them: by their processes, and by the board.

use serde::Serialize;

use crate::board::{Condition, WorkerState, Workers};

/// A worker: a process of this supervisor, or one that has joined from elsewhere.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Member {
    /// `worker 3` by the order of the starts, or the process and host of one that joined.
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

/// Returns the name of the worker with this index in the order of the starts.
pub(super) fn name(index: usize) -> String {
    format!("worker {}", index + 1)
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
        Member { name: name(index), pid: process.pid, condition, is_dead, state }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pid: u32, host: &str, seen: u64) -> WorkerState {
        let (users, retries, in_flight, rate) = (7, 2, 3, 12.4);
        WorkerState {
            pid,
            host: host.into(),
            seen,
            users,
            retries,
            in_flight,
            rate,
            ..WorkerState::default()
        }
    }

    #[test]
    fn processes_come_first_and_guests_after_them() {
        let died = Process { pid: 1, end: Some(("dead: signal: 9 (SIGKILL)".into(), false)) };
        let processes = [died, Process { pid: 2, end: None }, Process { pid: 3, end: None }];
        let mut lost = state(2, "there", 50);
        lost.dead_letters = 4;
        let board = Workers { now: 100, workers: vec![state(1, "here", 99), lost, state(2, "here", 100)] };
        let lines: Vec<_> = members(&processes, "here", &board).iter().map(Member::line).collect();
        assert_eq!(
            lines,
            [
                " worker 1: dead: signal: 9 (SIGKILL), 7 users, 2 retries",
                " worker 2: working, 7 users, 2 retries, 3 calls in flight, 12 documents/s",
                " worker 3: starting, process 3",
                "2 on there: dead, seen 50 s ago, 7 users, 2 retries, 4 dead letters",
            ]
        );
    }
}
