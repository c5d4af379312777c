//! An exploration of awaits in the fewest lines, with faults.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use evenkeel_tck::testkit::Cutting;
use tokio::{
    runtime::{Builder, Handle},
    task::{LocalSet, yield_now},
    time::sleep,
};

use super::Fault;

/// More than any operation of a rule has.
const MOST: usize = 20;

/// The end of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Dropped at this await, before it is woken.
    At(usize),
    /// Dropped at this await, when it was woken.
    Woken(usize),
}

pub(super) fn cut(fault: Fault, operation: &Cutting) {
    let shared = std::cell::OnceCell::new();
    for at in 1..MOST {
        if fault == Fault::SkipsAnAwait && at == 2 {
            continue;
        }
        let cuts = match fault {
            Fault::DropsBeforeWakesAlone => vec![Cut::At(at)],
            Fault::RunsToTheEndAlone => vec![Cut::At(MOST)],
            _ => vec![Cut::At(at), Cut::Woken(at)],
        };
        for cut in cuts {
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
            let runtime = runtime.expect("the system can make a runtime");
            let has_ended = LocalSet::new().block_on(&runtime, async {
                let state = match fault {
                    Fault::SharesTheState => shared.get_or_init(|| operation.setup()).clone(),
                    _ => operation.setup(),
                };
                let before = Handle::current().metrics().num_alive_tasks();
                let mut running = state.operation();
                let has_ended = run_to(&mut running, cut, fault).await;
                if fault == Fault::ChecksBeforeTheDrop {
                    state.check().await;
                }
                drop(running);
                sleep(Duration::from_secs(3600)).await;
                if fault != Fault::ChecksNothing {
                    state.check().await;
                }
                let left = Handle::current().metrics().num_alive_tasks();
                assert!(left <= before || fault == Fault::SeesNoTaskOfACut, "{left} task(s) are left");
                has_ended
            });
            if has_ended {
                return;
            }
        }
    }
}

/// Polls to the cut. Returns whether the operation has ended before.
async fn run_to(running: &mut evenkeel_tck::testkit::LocalFuture, cut: Cut, fault: Fault) -> bool {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    for at in 1.. {
        if running.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
            return true;
        }
        if cut == Cut::At(at) {
            return false;
        }
        let mut waited = 0;
        while !woken.0.swap(false, Relaxed) && fault != Fault::PollsWithoutAWake {
            assert!(waited < 100, "nothing wakes the operation");
            waited += 1;
            sleep(Duration::from_millis(100)).await;
        }
        if fault == Fault::PollsWithoutAWake {
            sleep(Duration::from_secs(2)).await;
        }
        // The tasks that have woken it end their turns.
        yield_now().await;
        if cut == Cut::Woken(at) {
            return false;
        }
    }
    false
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}
