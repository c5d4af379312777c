//! The board: each process of a harvest writes its numbers there every second, and reads those of all.
//!
//! A process that was killed stays on it with the numbers of its last second, without [`ended`](WorkerState::ended). A row
//! is one process: a second start has another [`id`](WorkerState::id).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use comfy_table::{Table, presets};
#[cfg(feature = "queue")]
use evenkeel::postgres::Database;
use evenkeel::task::BoxError;
use serde::{Deserialize, Serialize};

/// The table of a board in PostgreSQL, in the schema of the store.
#[cfg(feature = "queue")]
pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS harvest_workers (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, started BIGINT NOT NULL, seen BIGINT NOT NULL
    )";

/// Forgets the processes of the harvest before.
#[cfg(feature = "queue")]
pub(crate) const CLEAR: &str = "DELETE FROM harvest_workers";

#[cfg(feature = "queue")]
const PUBLISH: &str = "
    INSERT INTO harvest_workers (id, state, started, seen)
    SELECT $1, $2, now, now FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) AS now) AS clock
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, seen = excluded.seen";

/// Reads the clock of the server, and the rows. Without rows it is the clock alone.
#[cfg(feature = "queue")]
const READ: &str = "
    SELECT CAST(extract(epoch FROM clock_timestamp()) AS BIGINT), state, started, seen
    FROM (VALUES (1)) AS one LEFT JOIN harvest_workers ON TRUE ORDER BY started, id";

/// The seconds after which a worker that publishes its state each second is called silent, and then dead.
const SILENT: u64 = 4;
const DEAD: u64 = 12;

/// The maximum number of stages of a worker, and of characters in a text of it.
pub(crate) const MAX_STAGES: usize = 100;
const MAX_TEXT: usize = 300;

/// The numbers of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WorkerState {
    /// Another one for each start of a process.
    pub(crate) id: String,
    pub(crate) pid: u32,
    pub(crate) host: String,
    /// When it joined, in seconds since 1970 on the clock of the board.
    pub(crate) started: u64,
    /// When it wrote last, on the same clock.
    pub(crate) seen: u64,
    /// The users that it has completed.
    pub(crate) users: u64,
    /// The HTTP calls that it has made; every attempt counts.
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    /// The documents and records that it could not read.
    pub(crate) failures: u64,
    /// The jobs that it has given up.
    pub(crate) dead_letters: u64,
    /// The HTTP calls in flight.
    pub(crate) in_flight: u64,
    /// The documents that it has stored per second, over the last seconds.
    pub(crate) rate: f64,
    /// The stages of its pipeline, in order.
    pub(crate) stages: Vec<StageState>,
    /// The place that holds its pipeline up, in words.
    pub(crate) bottleneck: Option<String>,
    /// Whether it has ended by itself.
    pub(crate) ended: bool,
    /// Whether its process was seen to end otherwise: its supervisor knows that before it is silent for long.
    pub(crate) dead: bool,
}

/// The numbers of one stage of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StageState {
    pub(crate) name: String,
    pub(crate) limit: u32,
    pub(crate) in_flight: u64,
    /// The items that wait for the limit.
    pub(crate) queued: u64,
    /// The seconds that items have waited for the limit, in sum.
    pub(crate) waiting: f64,
    /// The seconds that items were in flight, in sum.
    pub(crate) working: f64,
    pub(crate) done: u64,
    pub(crate) errors: u64,
    pub(crate) retries: u64,
    /// The items done per second, over the last seconds.
    pub(crate) rate: f64,
}

/// All processes of a harvest, in the order in which they joined, and the time at which they were read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Workers {
    /// In seconds since 1970 on the clock of the board: the age of a row is `now - seen`.
    pub(crate) now: u64,
    pub(crate) workers: Vec<WorkerState>,
}

/// Where the processes of a harvest write their numbers. A handle: clones are the same board.
#[derive(Clone, Debug)]
pub(crate) enum Board {
    /// Of one process.
    Memory(Arc<Mutex<BTreeMap<String, WorkerState>>>),
    /// A [`TABLE`] beside the store.
    #[cfg(feature = "queue")]
    Postgres(Database),
}

/// The condition of a worker, by the time of its last state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Working,
    /// Nothing was heard of it for these seconds.
    Silent(u64),
    /// Nothing was heard of it for these seconds, which is too long.
    Dead(u64),
    /// It said that it ends.
    Ended,
}

impl Condition {
    /// Returns the condition at this time, on the clock of the board.
    pub(crate) const fn of(worker: &WorkerState, now: u64) -> Self {
        match now.saturating_sub(worker.seen) {
            _ if worker.ended => Self::Ended,
            _ if worker.dead => Self::Dead(now.saturating_sub(worker.seen)),
            DEAD.. => Self::Dead(now.saturating_sub(worker.seen)),
            age @ SILENT.. => Self::Silent(age),
            _ => Self::Working,
        }
    }

    /// Whether the worker may have something in hand.
    pub(crate) const fn is_alive(self) -> bool {
        matches!(self, Self::Working | Self::Silent(_))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working => f.write_str("working"),
            Self::Silent(age) => write!(f, "silent for {age} s"),
            Self::Dead(age) => write!(f, "dead, seen {age} s ago"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// Cuts the texts and the lists of all workers, and replaces control characters: others write them, and a terminal and a
/// page show them.
pub(crate) fn clean(board: &mut Workers) {
    for worker in &mut board.workers {
        worker.stages.truncate(MAX_STAGES);
        worker.stages.iter_mut().for_each(|stage| clean_text(&mut stage.name));
        [&mut worker.id, &mut worker.host].into_iter().chain(&mut worker.bottleneck).for_each(clean_text);
    }
}

/// Cuts a text of others, and replaces its control characters.
pub(crate) fn clean_text(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "\u{fffd}");
    }
}

/// A row for each process, and their sum.
impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header(["worker", "users", "calls", "retries", "failures", "dead letters", ""]);
        let numbers = |worker: &WorkerState| {
            [worker.users, worker.calls, worker.retries, worker.failures, worker.dead_letters]
        };
        let mut sum = [0_u64; 5];
        for worker in &self.workers {
            let numbers = numbers(worker);
            sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum = sum.saturating_add(number));
            let name = format!("{} on {}", worker.pid, worker.host);
            let state = Condition::of(worker, self.now).to_string();
            table.add_row([name].into_iter().chain(numbers.map(|number| number.to_string())).chain([state]));
        }
        let sum = sum.map(|number| number.to_string());
        table.add_row(
            [format!("{} in all", self.workers.len())].into_iter().chain(sum).chain([String::new()]),
        );
        table.fmt(f)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::Memory(Arc::default())
    }
}

impl Board {
    /// Writes the numbers of a process. Its `started` and `seen` are set by the board.
    pub(crate) async fn publish(&self, state: &WorkerState) -> Result<(), BoxError> {
        match self {
            Self::Memory(workers) => {
                let now = now();
                let mut workers = workers.lock().unwrap_or_else(PoisonError::into_inner);
                let started = workers.get(&state.id).map_or(now, |before| before.started);
                workers.insert(state.id.clone(), WorkerState { started, seen: now, ..state.clone() });
                Ok(())
            }
            #[cfg(feature = "queue")]
            Self::Postgres(db) => {
                let text = serde_json::to_string(state).expect("numbers and texts are JSON");
                db.execute(PUBLISH, (&state.id, text)).await?;
                Ok(())
            }
        }
    }

    /// Reads the numbers of all processes.
    pub(crate) async fn read(&self) -> Result<Workers, BoxError> {
        match self {
            Self::Memory(workers) => {
                let workers = workers.lock().unwrap_or_else(PoisonError::into_inner);
                let mut workers: Vec<WorkerState> = workers.values().cloned().collect();
                workers.sort_by_key(|worker| worker.started);
                Ok(Workers { now: now(), workers })
            }
            #[cfg(feature = "queue")]
            Self::Postgres(db) => {
                type Row = (i64, Option<String>, Option<i64>, Option<i64>);
                let rows = db.fetch_all::<Row>(READ, ()).await?;
                let seconds = |time: Option<i64>| time.unwrap_or_default().unsigned_abs();
                let now = seconds(rows.first().map(|row| row.0));
                // A process of another version may write other fields: what is missing is zero.
                let worker = |(_, state, started, seen): Row| {
                    let state: WorkerState = serde_json::from_str(&state?).ok()?;
                    Some(WorkerState { started: seconds(started), seen: seconds(seen), ..state })
                };
                let mut board = Workers { now, workers: rows.into_iter().filter_map(worker).collect() };
                clean(&mut board);
                Ok(board)
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "people read it as a time of the wall clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str, users: u64) -> WorkerState {
        let stage = StageState { name: "read".into(), done: users, ..StageState::default() };
        WorkerState { id: id.into(), users, stages: vec![stage], ..WorkerState::default() }
    }

    #[tokio::test]
    async fn a_process_has_one_row_with_its_last_numbers() {
        let board = Board::default();
        for state in [worker("b", 1), worker("a", 2), worker("b", 3)] {
            board.clone().publish(&state).await.unwrap();
        }
        let Workers { now, workers } = board.read().await.unwrap();
        let mut users: Vec<_> = workers.iter().map(|worker| (&*worker.id, worker.users)).collect();
        users.sort_unstable();
        assert_eq!(users, [("a", 2), ("b", 3)]);
        assert!(workers.iter().all(|worker| 0 < worker.started && worker.seen <= now), "{workers:?}");
    }

    #[test]
    fn numbers_of_another_version_are_read_as_far_as_they_are_known() {
        let text = r#"{"id": "a", "users": 7, "moods": [1], "stages": [{"name": "read"}]}"#;
        let read: WorkerState = serde_json::from_str(text).unwrap();
        assert_eq!((&*read.id, read.users, read.calls), ("a", 7, 0));
        assert_eq!((&*read.stages[0].name, read.stages[0].done), ("read", 0));
        let text = serde_json::to_string(&worker("a", 7)).unwrap();
        assert_eq!(serde_json::from_str::<WorkerState>(&text).unwrap(), worker("a", 7));
    }

    #[test]
    fn silence_is_told_and_then_taken_for_death() {
        let at = |seen| Condition::of(&WorkerState { seen, ..worker("a", 7) }, 100).to_string();
        assert_eq!([at(100), at(97), at(200)], ["working"; 3]);
        assert_eq!([at(96), at(89)], ["silent for 4 s", "silent for 11 s"]);
        assert_eq!(at(88), "dead, seen 12 s ago");
        let dead = WorkerState { dead: true, seen: 99, ..worker("a", 7) };
        assert_eq!(Condition::of(&dead, 100).to_string(), "dead, seen 1 s ago");
        let ended = WorkerState { ended: true, ..worker("a", 7) };
        assert_eq!(Condition::of(&ended, 100).to_string(), "ended");
    }

    #[test]
    fn texts_of_others_are_cut_and_cannot_move_the_cursor() {
        let mut hostile = worker("a", 7);
        hostile.bottleneck = Some("\x1b[2Jgone\n".into());
        hostile.id = "ż".repeat(1 << 20);
        hostile.stages = vec![StageState { name: "\r".into(), ..StageState::default() }; 1000];
        let mut board = Workers { now: 100, workers: vec![hostile] };
        clean(&mut board);
        let worker = &board.workers[0];
        assert_eq!(worker.bottleneck.as_deref(), Some("\u{fffd}[2Jgone\u{fffd}"));
        assert_eq!(worker.id, format!("{}…", "ż".repeat(300)));
        assert_eq!((worker.stages.len(), &*worker.stages[0].name), (100, "\u{fffd}"));
    }
}
