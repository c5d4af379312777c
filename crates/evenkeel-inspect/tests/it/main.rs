//! The promises of evenkeel-inspect.

mod churn;
mod findings;
mod forms;
mod own_objects;
mod running;
mod stand_stills;
mod threads;
mod units;
mod world;
