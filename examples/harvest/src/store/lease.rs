//! One run at a time writes to a store.
//!
//! A run holds a lock that the system takes from it when it ends, however that comes: one on a file beside a SQLite
//! database, one of a session in PostgreSQL. So the next run knows whether the last one lives, and a crash leaves
//! nothing behind that somebody would have to clean up. In the store is who has it. Each write looks there first: a
//! run that has lost its lock without notice, with its session, finds out before it writes beside another.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, TryLockError},
    hash::{BuildHasher as _, Hasher as _},
    path::Path,
    process,
    time::Duration,
};

use super::StoreError;

/// How long the lock of a run that has just been killed may be in the way: its session ends a little later.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// This run, as the store knows it.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// For people: the process.
    pub(super) name: String,
    /// No other run has it.
    pub(super) token: String,
}

impl Run {
    pub(super) fn this() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name =
            format!("process {} on {}", process::id(), host.trim()).trim_end_matches(" on ").to_owned();
        Self { name, token: format!("{:016x}", RandomState::new().build_hasher().finish()) }
    }
}

/// The statement with the clock of the store in it.
pub(super) fn with_clock(sql: &str, now: &str) -> String {
    sql.replace("{now}", now)
}

/// The lock on this file, which is made if need be; none if another run has it.
pub(super) fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let told = |error| StoreError::lasting(format!("{}: {error}", path.display()));
    // One of another user need not be writable for a lock.
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.or_else(|error| File::open(path).map_err(|_| error)).map_err(told)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // Where there are no locks, each write still looks whether the store is this run's.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// Another run has the store.
pub(super) fn in_use(holder: Option<(String, i64)>) -> StoreError {
    let whose =
        holder.map_or("another run".into(), |(name, age)| format!("another run, {name}, for {}", time(age)));
    StoreError::lasting(format!("it is in use by {whose}; wait for its end, or name another store"))
}

/// Another run has taken the store over.
pub(super) fn taken(holder: &str) -> StoreError {
    StoreError::lasting(format!("another run has taken the store over: {holder}"))
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
