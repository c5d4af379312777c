//! Limits: one quota for several processes over a store that fails and lies, and the limiters of one process.

mod concurrency;
mod distributed;
mod plan;
mod queue;
mod rate;
mod store;

use std::time::Duration;

use tokio::time::sleep;

pub use self::plan::Fault;
use self::plan::{Kind, Plan, draw};
use crate::{Random, Script, Subject, Trace};

/// Waits for a request, or drops it after a time: also if it was granted in the same instant, and has not seen it.
async fn unless_dropped<F: Future>(after: Option<Duration>, request: F) -> Option<F::Output> {
    let Some(after) = after else { return Some(request.await) };
    tokio::select! {
        biased;
        () = sleep(after) => None,
        output = request => Some(output),
    }
}

/// Limits, shared and local.
///
/// Promises: in no stretch of time is more granted than the burst and the rate, but for what the documentation names; no
/// permit is lost by a request that is dropped; waiters are served first come, first served, when their permits are there;
/// a store that does not answer holds nobody up; nothing is left.
#[derive(Clone, Copy, Debug)]
pub struct Limits;

impl Subject for Limits {
    type Fault = Fault;

    fn name(&self) -> &'static str {
        "limits"
    }

    fn draw(&self, random: &mut Random) -> Script<Fault> {
        draw(random)
    }

    async fn simulate(&self, seed: u64, script: &Script<Fault>, trace: &Trace) -> Result<(), String> {
        let plan = Plan::new(script);
        match plan.kind {
            Kind::Distributed => distributed::simulate(seed, plan, script.faults.clone(), trace).await,
            Kind::Rate | Kind::Keyed => rate::simulate(seed, plan, script.faults.clone(), trace).await,
            Kind::Concurrency => concurrency::simulate(seed, plan, script.faults.clone(), trace).await,
        }
    }
}
