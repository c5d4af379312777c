//! Limits: one quota for several processes over a store that fails and lies, and the limiters of one process.

mod concurrency;
mod distributed;
mod plan;
mod queue;
mod rate;
mod store;

use std::{future::poll_fn, mem::replace, pin::pin, task::Poll};

use tokio::time::sleep;

pub use self::plan::Fault;
use self::plan::{Kind, Leaves, Plan, draw};
use crate::{Random, Script, Subject, Trace};

/// Waits for a request, or drops it: before it sees that it was granted, too.
async fn unless_dropped<F: Future>(leaves: Leaves, request: F) -> Option<F::Output> {
    match leaves {
        Leaves::Never => Some(request.await),
        Leaves::After(time) => {
            tokio::select! {
                biased;
                () = sleep(time) => None,
                output = request => Some(output),
            }
        }
        Leaves::Woken => {
            let (mut request, mut has_waited) = (pin!(request), false);
            poll_fn(|cx| {
                if replace(&mut has_waited, true) {
                    return Poll::Ready(None);
                }
                request.as_mut().poll(cx).map(Some)
            })
            .await
        }
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
