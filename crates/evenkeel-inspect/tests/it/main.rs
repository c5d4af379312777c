//! The promises of evenkeel-inspect.

mod churn;
mod described_findings;
mod drains;
mod findings;
mod flow_sources;
mod flow_threads;
mod flows;
mod forms;
mod guide;
mod holders;
mod leases;
mod limit_waits;
mod limits_and_retries;
mod long_lists;
mod own_objects;
mod running;
mod runs_to_the_end;
mod stand_stills;
mod streams;
mod task_waits;
mod threads;
mod units;
mod watchdog;
mod world;
