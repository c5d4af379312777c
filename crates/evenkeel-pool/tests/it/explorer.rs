//! Every history of a few steps, each against what must hold at each step and in the end: what proptest's histories draw at
//! random, in full.
//!
//! The core has one lock, so its steps are changes under it: a history of calls, each of which comes to rest, together with
//! calls that stay between two polls, and tasks of the pool that run when the history says so, is any order in which they can
//! happen.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_pool::{Get, GetError, Lease, Pool, Snapshot};
use tokio::{
    runtime::Runtime,
    task::yield_now,
    time::{Instant, advance},
};

use crate::scripted::{Act, Script, Scripted, ms, pool_with, secs};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// A new caller is polled once.
    Get,
    /// One that has a second.
    GetBy,
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
    /// The tasks of the pool run.
    Run,
    /// A second passes, and the tasks run.
    Elapse,
    Close,
}

const STEPS: [Step; 16] = [
    Step::Get,
    Step::GetBy,
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
    Step::Run,
    Step::Elapse,
    Step::Close,
];

/// The pool and its manager.
#[derive(Clone, Copy, Debug)]
struct World {
    create: &'static [Act],
    check: Act,
    min_idle: usize,
    max_creating: usize,
}

const WORLDS: [World; 4] = [
    World { create: &[Act::Ready], check: Act::Ready, min_idle: 0, max_creating: 2 },
    World { create: &[Act::Ready], check: Act::Yield, min_idle: 0, max_creating: 2 },
    World { create: &[Act::Yield], check: Act::Yield, min_idle: 1, max_creating: 1 },
    World { create: &[Act::Yield, Act::FAIL], check: Act::Ready, min_idle: 0, max_creating: 1 },
];

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Caller<'a> {
    name: usize,
    get: Pin<Box<Get<'a, Scripted>>>,
    woken: Arc<Woken>,
    deadline: Option<Instant>,
}

impl Caller<'_> {
    fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst)
    }
}

struct Run<'a> {
    pool: &'a Pool<Scripted>,
    script: &'a Script,
    runtime: &'a Runtime,
    fails: bool,
    is_closed: bool,
    arrivals: usize,
    waiting: Vec<Caller<'a>>,
    held: Vec<Lease<Scripted>>,
    /// The order in which waiters were served.
    served: Vec<usize>,
    timeouts: u64,
}

impl<'a> Run<'a> {
    fn poll(&mut self, n: usize) {
        let caller = &mut self.waiting[n];
        caller.woken.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&caller.woken));
        let Poll::Ready(result) = caller.get.as_mut().poll(&mut Context::from_waker(&waker)) else { return };
        match result {
            Ok(lease) => {
                self.served.push(caller.name);
                self.held.push(lease);
            }
            Err(GetError::Timeout(why)) => {
                assert!(why.waited >= secs(1), "a time-out out of time");
                assert!(caller.deadline.is_some(), "it had much time");
                self.timeouts += 1;
            }
            Err(GetError::Closed) => assert!(self.is_closed, "nobody has closed it"),
            Err(GetError::Create(_)) => assert!(self.fails, "nothing fails here"),
            Err(other) => panic!("{other}"),
        }
        drop(self.waiting.remove(n));
    }

    fn arrive(&mut self, deadline: Option<Instant>) {
        let get = deadline.map_or_else(|| self.pool.get(), |deadline| self.pool.get_by(deadline));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        self.waiting.push(Caller { name: self.arrivals, get: Box::pin(get), woken, deadline });
        self.arrivals += 1;
        self.poll(self.waiting.len() - 1);
    }

    fn step(&mut self, step: Step) {
        let last = self.waiting.len().checked_sub(1);
        let before = self.pool.snapshot();
        let is_surplus = before.size > before.max && !self.held.is_empty();
        match step {
            Step::Get => self.arrive(None),
            Step::GetBy => self.arrive(Some(Instant::now() + secs(1))),
            Step::PollFirst | Step::PollLast => {
                let mut woken = (0..self.waiting.len()).filter(|n| self.waiting[*n].is_woken());
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
            Step::TryGet => self.try_get(),
            Step::Retire => self.pool.retire_all(),
            Step::Shrink => self.pool.resize(1).unwrap(),
            Step::Grow => self.pool.resize(2).unwrap(),
            Step::Run => self.runtime.block_on(rest()),
            Step::Elapse => {
                self.runtime.block_on(async {
                    advance(secs(1)).await;
                    rest().await;
                });
                let now = Instant::now();
                let late = |caller: &&Caller<'_>| caller.deadline.is_some_and(|deadline| deadline <= now);
                assert!(self.waiting.iter().filter(late).all(Caller::is_woken), "a time-out is forgotten");
            }
            Step::Close => {
                let _ = pin!(self.pool.close(ms(0))).poll(&mut Context::from_waker(Waker::noop()));
                self.is_closed = true;
                assert!(self.waiting.iter().all(Caller::is_woken), "a waiter is not told");
            }
        }
        if is_surplus && matches!(step, Step::Return | Step::ReturnUnfit | Step::Discard) {
            assert_eq!(self.pool.snapshot().size, before.size - 1, "{before:?}: an object too many is kept");
        }
        self.assert_sound();
    }

    /// It returns none only if nothing is idle, or others wait, or the check of the object goes on.
    fn try_get(&mut self) {
        let before = self.pool.snapshot();
        let lease = self.pool.try_get();
        let after = self.pool.snapshot();
        let has_reason = before.waiting > 0 || after.idle == 0 || after.checking > before.checking;
        assert!(lease.is_some() || has_reason, "{before:?} {after:?}");
        self.held.extend(lease);
    }

    fn assert_sound(&self) {
        let snapshot = self.pool.snapshot();
        let Snapshot { size, idle, in_use, creating, checking, created, discarded, waiting, .. } = snapshot;
        assert_eq!(size, idle + in_use + creating + checking, "{snapshot:?}");
        assert_eq!(created, (idle + in_use + checking) as u64 + discarded, "{snapshot:?}");
        assert_eq!(self.script.live.load(SeqCst), idle + in_use + checking, "{snapshot:?}");
        assert!(self.script.peak.load(SeqCst) <= 2 && self.held.len() <= in_use, "{snapshot:?}");
        assert!(waiting <= self.waiting.len(), "{snapshot:?}");
        assert_eq!(snapshot.timeouts, self.timeouts);
    }

    /// Polls all that are woken until none is, lets go of one lease after the other, and sees that every caller is served.
    fn finish(&mut self) {
        for _ in 0..100 {
            self.runtime.block_on(async {
                if self.fails {
                    // The next creation waits for its pause.
                    advance(secs(1)).await;
                }
                rest().await;
            });
            while let Some(n) = (0..self.waiting.len()).find(|n| self.waiting[*n].is_woken()) {
                self.poll(n);
            }
            if self.waiting.is_empty() && self.held.is_empty() {
                break;
            }
            drop(self.held.pop());
        }
        // A check may have begun with the last poll.
        self.runtime.block_on(rest());
        self.assert_sound();
        let snapshot = self.pool.snapshot();
        assert!(self.waiting.is_empty(), "a caller waits for ever: {snapshot:?}");
        assert_eq!((snapshot.in_use, snapshot.waiting, snapshot.checking), (0, 0, 0), "{snapshot:?}");
        assert_eq!(self.script.live.load(SeqCst), snapshot.idle);
        assert!(!self.is_closed || snapshot.size == 0, "{snapshot:?}");
    }

    /// Lets the two creations end.
    fn finish_creations(&mut self) {
        while self.held.len() < 2 {
            self.runtime.block_on(rest());
            self.step(Step::PollFirst);
        }
        assert_eq!(self.served.split_off(0), [0, 1], "first come, first served");
    }
}

/// Lets the tasks of the pool run until they wait.
async fn rest() {
    for _ in 0..4 {
        yield_now().await;
    }
}

/// Runs all histories of this many steps in each world.
pub(crate) fn explore(steps: u32) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let _inside = runtime.enter();
    for world in WORLDS {
        for history in 0..STEPS.len().pow(steps) {
            let digits = (0..steps).scan(history, |rest, _| {
                let step = STEPS[*rest % STEPS.len()];
                *rest /= STEPS.len();
                Some(step)
            });
            let history: Vec<_> = digits.collect();
            let (pool, script) = pool_with(2, |builder| {
                builder.acquire_timeout(secs(1000)).min_idle(world.min_idle).max_creating(world.max_creating)
            });
            script.check.set(world.check);
            let mut run = Run {
                pool: &pool,
                script: &script,
                runtime: &runtime,
                fails: world.create.contains(&Act::FAIL),
                is_closed: false,
                arrivals: 0,
                waiting: Vec::new(),
                held: Vec::new(),
                served: Vec::new(),
                timeouts: 0,
            };
            // Two objects are in use and a caller waits, so that the steps meet a full pool.
            run.step(Step::Get);
            run.step(Step::Get);
            run.finish_creations();
            run.step(Step::Get);
            script.create.set_all(world.create);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                history.iter().for_each(|step| run.step(*step));
                run.finish();
            }));
            assert!(panicked.is_ok(), "{history:?} in {world:?}");
        }
    }
}

#[test]
fn no_history_of_three_steps_loses_anything() {
    explore(3);
}
