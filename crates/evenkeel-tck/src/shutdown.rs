#![doc = include_str!("../spec/SHUTDOWN.md")]

mod harness;
mod parts;
mod rules;
mod settings;

pub use self::{
    parts::Parts,
    settings::{Capability, Settings},
};
use crate::Suite;
pub use crate::probe_task::{FailureKind, Outcome, ReportedFailure, Task};

/// The rules for programs that stop in good order.
///
/// # Examples
/// A channel that tells the tasks to stop, and handles that are awaited:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError, Configured,
///     shutdown::{Capability, Outcome, Parts, SUITE, Settings},
/// };
/// use tokio::{sync::watch, time::sleep};
///
/// struct Channel;
///
/// impl Adapter<Settings> for Channel {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Grace => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
///         let stop_after = settings.stop_after;
///         Ok(Configured::new(move |parts: Parts| async move {
///             let (stop, _) = watch::channel(false);
///             let mut running = Vec::new();
///             for task in parts.tasks {
///                 let mut stopped = stop.subscribe();
///                 let asked = async move { stopped.wait_for(|is_stopped| *is_stopped).await.map_or(None, |_| None) };
///                 running.push(tokio::spawn(task.run(asked, drop)));
///             }
///             sleep(stop_after.unwrap_or_default()).await;
///             stop.send_replace(true);
///             for task in running {
///                 let _ = task.await;
///             }
///             Outcome::default()
///         }))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Channel);
/// assert!(check("SHUTDOWN-01").passed());
/// assert_eq!(check("SHUTDOWN-07").to_string(), "unsupported: grace: wrap it in `tokio::time::timeout`");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "SHUTDOWN", spec: include_str!("../spec/SHUTDOWN.md"), chapters: rules::CHAPTERS };
