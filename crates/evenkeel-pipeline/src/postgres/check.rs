//! Compares what the server is set to with what a queue needs.

use evenkeel_postgres::Error;

use super::PgQueue;
use crate::{Warning, Workload};

const SETTINGS: &str = "
select current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'),
    current_setting('synchronous_standby_names') <> '',
    current_setting('autovacuum') = 'on' and current_setting('track_counts') = 'on',
    (select setting::int from pg_settings where name = 'wal_writer_delay')";

const SNAPSHOTS: &str = "
select pid, coalesce(application_name, ''), extract(epoch from now() - xact_start)::float8 from pg_stat_activity
where backend_xmin is not null and pid <> pg_backend_pid() and xact_start < now() - make_interval(secs => 60)
    and datname = current_database()
order by xact_start limit 1";

/// Returns warnings about the server, and about the workload.
pub(super) async fn check(queue: &PgQueue, workload: &Workload) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let mut warn = |sentence: String| warnings.push(Warning::new(sentence));
    let settings: (bool, bool, String, bool, bool, i32) = queue.db.fetch_one(SETTINGS, ()).await?;
    let (fsync, full_pages, commit, has_replicas, vacuums, writer_delay) = settings;
    if !fsync {
        warn(
            "fsync is off: a crash of the machine loses jobs that were stored, or damages the whole database"
                .into(),
        );
    } else if !full_pages {
        warn("full_page_writes is off: a crash of the machine may damage the tables of the queue".into());
    }
    match (&*commit, has_replicas) {
        // The documentation of the setting says so of all versions.
        ("off", _) => warn(format!(
            "synchronous_commit is off: a crash of the server loses jobs that were stored in the last {} ms (three times \
             wal_writer_delay), and runs others again",
            3 * writer_delay
        )),
        ("local", true) => {
            warn(
                "synchronous_commit is local: a job may be lost with the disk before a replica has it".into(),
            );
        }
        (_, true) => {}
        (_, false) => warn("there is no synchronous replica: a lost disk loses the jobs".into()),
    }
    if !vacuums {
        warn("autovacuum is off: the tables of the queue grow, and fetches become slow".into());
    }
    let snapshot: Option<(i32, String, f64)> = queue.db.fetch_opt(SNAPSHOTS, ()).await?;
    if let Some((pid, name, seconds)) = snapshot {
        warn(format!(
            "the session {pid} (`{name}`) has held a snapshot for {seconds:.0} s: until it ends the tables of the queue keep \
             the rows of jobs that are done"
        ));
    }
    if workload.timeout.is_none() {
        warn(
            "no timeout bounds all stages: a job that hangs keeps its lease as long as the process lives"
                .into(),
        );
    }
    Ok(warnings)
}
