//! One run at a time writes to a store.
//!
//! A run holds a lock that the system releases when the process ends in any way: a lock on a file beside a SQLite
//! database, or a lock of a session in PostgreSQL. So the next run knows whether the last one is alive, and a crash leaves
//! nothing to clean up. The table `harvest_lease` has the token of the run that holds the lock. Each write checks it
//! first, because a run can lose its lock without notice, together with its session.
//!
//! The workers of one harvest share the lock and the token. So they exclude a run of its own, and it excludes them.

use std::{
    fs::{File, TryLockError},
    path::Path,
    process,
    time::Duration,
};

use super::StoreError;
use crate::process::{hostname, unique};

/// How long to wait for the lock: the session of a run that was killed ends a little later.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The identity of this run in the store.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The process, for people.
    pub(super) name: String,
    /// Unique for each run.
    pub(super) token: String,
}

impl Run {
    pub(super) fn this() -> Self {
        let name = format!("process {} on {}", process::id(), hostname()).trim_end_matches(" on ").to_owned();
        Self { name, token: unique() }
    }
}

/// Returns the statement with the expression for the clock of the store.
pub(super) fn with_clock(sql: &str, now: &str) -> String {
    sql.replace("{now}", now)
}

/// Locks this file, which is created if need be. Returns `None` if another run has the lock.
pub(super) fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let told = |error| StoreError::permanent(format!("{}: {error}", path.display()));
    // A file of another user can be locked without write access.
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.or_else(|error| File::open(path).map_err(|_| error)).map_err(told)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // On a file system without locks, each write still checks the token.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// Returns the error for a store that another run has locked.
pub(super) fn in_use(holder: Option<(String, i64)>) -> StoreError {
    let whose =
        holder.map_or("another run".into(), |(name, age)| format!("another run, {name}, for {}", time(age)));
    StoreError::permanent(format!("it is in use by {whose}; wait for its end, or name another store"))
}

/// Returns the error for a store that another run has taken over.
pub(super) fn taken(holder: &str) -> StoreError {
    StoreError::permanent(format!("another run has taken the store over: {holder}"))
}

fn time(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_name_and_a_token_of_its_own() {
        let (one, other) = (Run::this(), Run::this());
        assert!(one.name.starts_with(&format!("process {}", process::id())) && !one.name.ends_with(" on"));
        assert_ne!(one.token, other.token);
    }

    #[test]
    fn the_other_run_is_told_by_name_and_age() {
        let told = |age| in_use(Some(("process 7 on h".into(), age))).reason;
        assert!(told(5).starts_with("it is in use by another run, process 7 on h, for 5 s; "));
        for (age, text) in [(-3, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (90_000, "25 h")]
        {
            assert!(told(age).contains(&format!(", for {text};")), "{age}");
        }
    }
}
