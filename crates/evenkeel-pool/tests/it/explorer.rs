//! Every history of a few steps, each against an exact model: what proptest's histories draw at random, in full.
//!
//! The core has one lock, so its steps are changes under it: a history of calls, each of which comes to rest, together with
//! calls that stay between two polls, is any order in which they can happen.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_pool::{Get, Lease, Pool};

use crate::scripted::{Act, Script, Scripted, pool_with, secs};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// A new caller is polled once.
    Get,
    /// The first caller that was woken is polled; or the last one.
    PollFirst,
    PollLast,
    /// A caller gives up.
    CancelFirst,
    CancelLast,
    Return,
    Discard,
    /// An object is returned that fails its next check.
    ReturnUnfit,
    TryGet,
    Retire,
    Shrink,
    Grow,
}

const STEPS: [Step; 12] = [
    Step::Get,
    Step::PollFirst,
    Step::PollLast,
    Step::CancelFirst,
    Step::CancelLast,
    Step::Return,
    Step::Discard,
    Step::ReturnUnfit,
    Step::TryGet,
    Step::Retire,
    Step::Shrink,
    Step::Grow,
];

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

type Caller<'a> = (usize, Pin<Box<Get<'a, Scripted>>>, Arc<Woken>);

struct Run<'a> {
    pool: &'a Pool<Scripted>,
    script: &'a Script,
    arrivals: usize,
    waiting: Vec<Caller<'a>>,
    held: Vec<Lease<Scripted>>,
    /// The order in which waiters were served, for callers that are polled as they are woken.
    served: Vec<usize>,
}

impl<'a> Run<'a> {
    fn poll(&mut self, n: usize) {
        let (name, get, woken) = &mut self.waiting[n];
        woken.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(woken));
        if let Poll::Ready(result) = get.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.served.push(*name);
            self.held.push(result.expect("nothing fails here"));
            drop(self.waiting.remove(n));
        }
    }

    fn step(&mut self, step: Step) {
        let last = self.waiting.len().checked_sub(1);
        match step {
            Step::Get => {
                let woken = Arc::new(Woken(AtomicBool::new(false)));
                self.waiting.push((self.arrivals, Box::pin(self.pool.get()), woken));
                self.arrivals += 1;
                self.poll(self.waiting.len() - 1);
            }
            Step::PollFirst | Step::PollLast => {
                let mut woken = (0..self.waiting.len()).filter(|n| self.waiting[*n].2.0.load(SeqCst));
                let n = if step == Step::PollFirst { woken.next() } else { woken.next_back() };
                n.into_iter().for_each(|n| self.poll(n));
            }
            Step::CancelFirst => last.iter().for_each(|_| drop(self.waiting.remove(0))),
            Step::CancelLast => drop(self.waiting.pop()),
            Step::Return => drop(self.held.pop()),
            Step::Discard => self.held.pop().into_iter().for_each(Lease::discard),
            Step::ReturnUnfit => {
                if let Some(mut lease) = self.held.pop() {
                    lease.unfit = true;
                }
            }
            Step::TryGet => self.held.extend(self.pool.try_get()),
            Step::Retire => self.pool.retire_all(),
            Step::Shrink => self.pool.resize(1).unwrap(),
            Step::Grow => self.pool.resize(2).unwrap(),
        }
        let snapshot = self.pool.snapshot();
        let parts = snapshot.idle + snapshot.in_use + snapshot.creating + snapshot.checking;
        assert_eq!(snapshot.size, parts, "{snapshot:?}");
        assert!(self.script.live.load(SeqCst) <= 2, "{snapshot:?}");
    }

    /// Polls all that are woken until none is, lets go of one lease after the other, and sees that every caller is served.
    fn finish(&mut self, runtime: &tokio::runtime::Runtime) {
        for _ in 0..100 {
            runtime.block_on(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            });
            while let Some(n) = (0..self.waiting.len()).find(|n| self.waiting[*n].2.0.load(SeqCst)) {
                self.poll(n);
            }
            if self.waiting.is_empty() && self.held.is_empty() {
                break;
            }
            drop(self.held.pop());
        }
        let snapshot = self.pool.snapshot();
        assert!(self.waiting.is_empty(), "a caller waits for ever: {snapshot:?}");
        assert_eq!((snapshot.in_use, snapshot.waiting, snapshot.checking), (0, 0, 0), "{snapshot:?}");
        assert_eq!(self.script.live.load(SeqCst), snapshot.idle);
    }
}

/// Runs all histories of this many steps, for creations and checks that are ready at once or take a moment.
pub(crate) fn explore(steps: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    for (create, check) in [(Act::Ready, Act::Ready), (Act::Ready, Act::Yield)] {
        for history in 0..STEPS.len().pow(steps) {
            let digits = (0..steps).scan(history, |rest, _| {
                let step = STEPS[*rest % STEPS.len()];
                *rest /= STEPS.len();
                Some(step)
            });
            let history: Vec<_> = [Step::Get, Step::Get].into_iter().chain(digits).collect();
            let (pool, script) = pool_with(2, |builder| builder.acquire_timeout(secs(1000)));
            script.create.set(create);
            script.check.set(check);
            let mut run = Run {
                pool: &pool,
                script: &script,
                arrivals: 0,
                waiting: Vec::new(),
                held: Vec::new(),
                served: Vec::new(),
            };
            // Two objects are in use and a caller waits, so that the steps meet a full pool.
            run.step(history[0]);
            run.step(history[1]);
            run.finish_creations(&runtime);
            run.step(Step::Get);
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                history[2..].iter().for_each(|step| run.step(*step));
                run.finish(&runtime);
            }));
            assert!(panicked.is_ok(), "{history:?} with checks that are {check:?}");
        }
    }
}

impl Run<'_> {
    /// Lets the two creations end.
    fn finish_creations(&mut self, runtime: &tokio::runtime::Runtime) {
        while self.held.len() < 2 {
            runtime.block_on(tokio::task::yield_now());
            self.step(Step::PollFirst);
        }
        assert_eq!(self.served.split_off(0), [0, 1], "first come, first served");
    }
}

#[test]
fn no_history_of_three_steps_loses_anything() {
    explore(3);
}
