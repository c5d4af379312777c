//! The core with its fast path, with the steps of its users in every order that the memory model allows.
//!
//! The shipped files are compiled a second time here, by `#[path]`, with the module `loom` of this file in place of that
//! of `crate::sync`.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::{Poll, Wake, Waker},
};

use ::loom::{
    sync::Arc,
    thread::{self, Thread},
};

use self::{
    core::Core,
    fast_path::{ALL_SLOTS, FastPath, Usage},
    state::State,
};
use super::{adaptive, snapshot};
use crate::{
    error::Reason,
    sync::{
        edges::{CallPlace, SLOTS},
        entry::Stage,
    },
};

/// The primitives of the code under test.
mod loom {
    pub(super) use ::loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    };

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    #[cfg(feature = "inspect")]
    pub(super) use task_cell::TaskCell;

    #[cfg(feature = "inspect")]
    mod task_cell {
        use std::sync::Mutex;

        use ::loom::sync::atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        };
        use evenkeel_inspect::TaskId;

        /// A thread.
        const NONE: u64 = 0;

        /// The two words of the shipped one, in its order. loom has no cell for a task of tokio: its place in a list of all that
        /// were ever set stands for it, plus one.
        #[derive(Debug)]
        pub(in super::super) struct TaskCell {
            task: AtomicU64,
            thread: AtomicU64,
            tasks: Mutex<Vec<TaskId>>,
        }

        impl TaskCell {
            pub(in super::super) fn new() -> Self {
                Self { task: AtomicU64::new(NONE), thread: AtomicU64::new(0), tasks: Mutex::default() }
            }

            pub(in super::super) fn set(&self, task: TaskId) {
                if let TaskId::Thread(thread) = task {
                    self.thread.store(thread, Release);
                    self.task.store(NONE, Release);
                } else {
                    // Not under the lock: loom may run another thread at each access.
                    let mut tasks = self.tasks.lock().unwrap();
                    tasks.push(task);
                    let place = tasks.len() as u64;
                    drop(tasks);
                    self.task.store(place, Release);
                }
            }

            pub(in super::super) fn get(&self) -> TaskId {
                match self.task.load(Acquire) {
                    NONE => TaskId::Thread(self.thread.load(Acquire)),
                    place => self.tasks.lock().unwrap()[place as usize - 1],
                }
            }
        }
    }
}

#[expect(clippy::duplicate_mod, dead_code, reason = "the same with another lock, and not all of it is used")]
#[path = "core.rs"]
mod core;
#[expect(clippy::duplicate_mod, reason = "the same with another atomic")]
#[path = "fast_path.rs"]
mod fast_path;
#[cfg(feature = "inspect")]
#[expect(clippy::duplicate_mod, reason = "the same with other atomics")]
#[path = "slots.rs"]
mod slots;
#[expect(
    clippy::duplicate_mod,
    dead_code,
    reason = "the same with another fast path, and not all of it is used"
)]
#[path = "state.rs"]
mod state;

/// A limiter, and the weight that runs.
struct Shared {
    core: Core,
    limit: u32,
    running: AtomicU32,
}

impl Shared {
    fn new(limit: u32) -> Arc<Self> {
        let fast_path = FastPath::new(loom::AtomicU64::new(FastPath::closed()));
        let core = Core::new(fast_path, loom::Mutex::new(State::new(limit, None)));
        core.with(|_, _| ());
        Arc::new(Self { core, limit, running: AtomicU32::new(0) })
    }

    /// Runs for some steps of the other threads.
    fn run(&self, weight: u32) {
        assert!(self.running.fetch_add(weight, Relaxed) + weight <= self.limit);
        thread::yield_now();
        self.running.fetch_sub(weight, Relaxed);
        self.core.put_back(weight);
    }

    /// Takes permits as a future does, and waits for them if it has to; returns whether they were granted.
    fn waits(&self, weight: u32) -> bool {
        let waker = Waker::from(std::sync::Arc::new(Parked(thread::current())));
        let mut stage = Stage::New;
        let mut poll = match self.core.take_fast(weight) {
            Some(grant) => Poll::Ready(Ok(grant)),
            None => self.core.enter(weight, usize::MAX, &waker, &mut stage, CallPlace::here()),
        };
        while let (Poll::Pending, Stage::Queued(key)) = (&poll, &stage) {
            thread::park();
            poll = self.core.poll(*key, &waker, &mut stage, CallPlace::here());
        }
        let Poll::Ready(decision) = poll else { panic!("pending without a key") };
        match decision {
            Ok(grant) => self.run(grant.weight),
            Err(denied) => assert_eq!(denied.reason, Reason::Closed),
        }
        decision.is_ok()
    }

    /// Takes permits as a future that is dropped after its first poll.
    fn leaves(&self, weight: u32) {
        let mut stage = Stage::New;
        let poll = match self.core.take_fast(weight) {
            Some(grant) => Poll::Ready(Ok(grant)),
            None => self.core.enter(weight, usize::MAX, Waker::noop(), &mut stage, CallPlace::here()),
        };
        match (poll, stage) {
            (Poll::Pending, Stage::Queued(key)) => self.core.leave(key, false),
            (Poll::Ready(Ok(grant)), _) => self.run(grant.weight),
            (poll, stage) => panic!("{poll:?} in {stage:?}"),
        }
    }

    fn tries(&self, weight: u32) -> bool {
        let grant = self.core.try_take(weight, CallPlace::here());
        grant.inspect(|grant| self.run(grant.weight)).is_ok()
    }

    /// Asserts that all permits are back, and each grant was counted.
    fn assert_granted(&self, granted: u64) {
        let snapshot = self.core.with(|state, _| state.snapshot());
        assert_eq!((snapshot.in_use, snapshot.waiting, snapshot.granted), (0, 0, granted));
    }
}

fn spawn(shared: &Arc<Shared>, actor: fn(&Shared)) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || actor(&shared))
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs all orders with at most two switches away from a thread that could go on.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(check);
}

/// Three threads want the only permit: one at a time has it, and each is woken for its turn.
#[test]
fn each_waiter_gets_the_permit_of_another() {
    model(|| {
        let shared = Shared::new(1);
        let threads = [(); 2].map(|()| spawn(&shared, |shared| assert!(shared.waits(1))));
        assert!(shared.waits(1));
        for thread in threads {
            thread.join().unwrap();
        }
        shared.assert_granted(3);
    });
}

/// A light request comes while a heavy one waits for two light permits to go back.
#[test]
fn a_heavy_waiter_is_served() {
    model(|| {
        let shared = Shared::new(2);
        let heavy = spawn(&shared, |shared| assert!(shared.waits(2)));
        let light = spawn(&shared, |shared| assert!(shared.waits(1)));
        let tried = shared.tries(1);
        heavy.join().unwrap();
        light.join().unwrap();
        shared.assert_granted(2 + u64::from(tried));
    });
}

/// A waiter leaves while the permit that it waits for goes back: the next waiter gets it.
#[test]
fn a_permit_is_not_lost_with_a_waiter_that_leaves() {
    model(|| {
        let shared = Shared::new(1);
        let leaver = spawn(&shared, |shared| shared.leaves(1));
        let waiter = spawn(&shared, |shared| assert!(shared.waits(1)));
        assert!(shared.waits(1));
        leaver.join().unwrap();
        waiter.join().unwrap();
        let granted = shared.core.with(|state, _| state.snapshot()).granted;
        assert!((2..=3).contains(&granted));
        shared.assert_granted(granted);
    });
}

/// The limit shrinks and grows while permits are taken and go back: no permit is lost or made.
#[test]
fn permits_add_up_while_the_limit_changes() {
    model(|| {
        let shared = Shared::new(2);
        let set_limit = |shared: &Shared, limit| shared.core.with(|state, _| state.limit = limit);
        let taker = spawn(&shared, |shared| assert!(shared.waits(1)));
        let other = spawn(&shared, |shared| assert!(shared.waits(1)));
        set_limit(&shared, 1);
        set_limit(&shared, 2);
        taker.join().unwrap();
        other.join().unwrap();
        shared.assert_granted(2);
        assert_eq!(shared.core.with(|state, _| state.take(2).map(|grant| grant.weight)), Ok(2));
    });
}

/// After `close` nothing is granted, on no path.
#[test]
fn nothing_is_granted_after_it_is_closed() {
    model(|| {
        let shared = Shared::new(1);
        let waiter = spawn(&shared, |shared| _ = shared.waits(1));
        shared.core.with(|state, _| state.closed = true);
        assert!(!shared.tries(1));
        let before = shared.core.with(|state, _| state.snapshot()).granted;
        waiter.join().unwrap();
        shared.assert_granted(before);
    });
}

/// The fields of the word at their largest values: none runs over into another.
#[test]
fn full_fields_stay_apart() {
    model(|| {
        let grants = (1 << (31 - SLOTS)) - 1;
        let fast_path = FastPath::new(loom::AtomicU64::new(grants << (33 + SLOTS) | 5));
        assert!(!fast_path.take(1), "the lock has to take over the grants first");
        assert!(fast_path.put_back(1));
        let usage = fast_path.close();
        assert!(matches!(usage, (Usage::Open { available: 6, granted }, 0) if granted == grants));

        assert!(!fast_path.put_back(u32::MAX));
        assert!(matches!(fast_path.close(), (Usage::Closed { returned: u32::MAX }, 0)));
        fast_path.open(u32::MAX, ALL_SLOTS);
        assert!(fast_path.take(u32::MAX) && fast_path.take(0) && !fast_path.take(1));
        assert!(fast_path.put_back(u32::MAX));
        let usage = fast_path.close();
        assert!(matches!(usage, (Usage::Open { available: u32::MAX, granted: 2 }, ALL_SLOTS)));
    });
}

/// The records of holders: each slot has one user at a time, and a look sees the fields of one use, or none.
#[cfg(feature = "inspect")]
mod holders {
    use std::sync::atomic::AtomicU64;

    use evenkeel_inspect::TaskId;

    use super::{slots::Slot, *};

    /// A limiter whose holders are recorded.
    struct Recorded {
        core: Core,
        slots: Vec<Slot>,
        tasks: Vec<TaskId>,
        /// The uses that there were of each slot, by their order.
        uses: Vec<AtomicU64>,
    }

    impl Recorded {
        fn new(limit: u32, tasks: &[TaskId]) -> Arc<Self> {
            let fast_path = FastPath::new(loom::AtomicU64::new(FastPath::closed()));
            let core = Core::new(fast_path, loom::Mutex::new(State::new(limit, None).with_slots()));
            core.with(|_, _| ());
            let slots = (0..limit).map(|_| Slot::new()).collect();
            let uses = (0..limit).map(|_| AtomicU64::new(0)).collect();
            Arc::new(Self { core, slots, tasks: tasks.to_vec(), uses })
        }

        /// Holds a permit of the task with this number, on the fast path or by the lock; returns whether it got a slot.
        fn holds(&self, task: u64) -> bool {
            let slot = self.core.take_with_slot(1).or_else(|| {
                let grant = self.core.try_take(1, CallPlace::here()).expect("there is a permit for each");
                grant.hold.as_slot()
            });
            let Some(slot) = slot else {
                // The fast path was opened between the two, and its grant is one for the list.
                self.core.put_back(1);
                return false;
            };
            let record = &self.slots[slot as usize];
            // One at a time has the slot, or a use would be lost here.
            let number = self.uses[slot as usize].load(Relaxed);
            record.set_place(task);
            record.begin(self.tasks[task as usize], task, task as u32);
            thread::yield_now();
            assert_eq!((record.place(), record.since()), (task, task));
            assert_eq!(record.task(), self.tasks[task as usize]);
            self.uses[slot as usize].store(number + 1, Relaxed);
            record.end();
            self.core.put_back_with_slot(1, slot);
            true
        }

        fn look(&self) {
            for (slot, record) in self.slots.iter().enumerate() {
                if let Some(used) = record.look() {
                    let task = used.place;
                    assert_eq!((used.since, u64::from(used.weight)), (task, task), "of one use");
                    assert_eq!(used.task, self.tasks[task as usize], "of one use, {slot}");
                }
            }
        }

        fn assert_all_back(&self, granted: u64, in_slots: usize) {
            assert_eq!(self.uses.iter().map(|uses| uses.load(Relaxed)).sum::<u64>(), in_slots as u64);
            let snapshot = self.core.with(|state, _| state.snapshot());
            assert_eq!((snapshot.in_use, snapshot.granted), (0, granted));
            // All slots are free again: each permit gets another one.
            let slots: std::collections::HashSet<_> =
                self.slots.iter().map(|_| self.core.take_with_slot(1).expect("a slot")).collect();
            assert_eq!(slots.len(), self.slots.len());
        }
    }

    /// Threads at even places, tasks at odd ones.
    fn tasks() -> Vec<TaskId> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = || runtime.block_on(async { tokio::spawn(async { TaskId::current() }).await.unwrap() });
        let thread = || std::thread::spawn(TaskId::current).join().unwrap();
        let tasks = [thread(), task(), thread(), task(), thread()];
        assert!((0..).zip(&tasks).all(|(place, task)| matches!(task, TaskId::Task(_)) == (place % 2 == 1)));
        tasks.to_vec()
    }

    /// A task and a thread, two threads and two tasks hold the only permit in turn, while a look is at its record.
    #[test]
    fn a_look_sees_one_use() {
        let tasks = tasks();
        for [first, second] in [[1, 2], [2, 1], [2, 4], [1, 3]] {
            let tasks = tasks.clone();
            model(move || {
                let shared = Recorded::new(1, &tasks);
                let holder = thread::spawn({
                    let shared = Arc::clone(&shared);
                    move || assert!(shared.holds(first) && shared.holds(second))
                });
                shared.look();
                shared.look();
                holder.join().unwrap();
                shared.assert_all_back(2, 2);
            });
        }
    }

    /// Two tasks take permits and slots while the state takes them over and lends them again.
    #[test]
    fn a_slot_has_one_user_at_a_time() {
        let tasks = tasks();
        model(move || {
            let shared = Recorded::new(2, &tasks);
            let holder = thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.holds(1)
            });
            shared.core.with(|_, _| ());
            let mine = shared.holds(2);
            let in_slots = usize::from(mine) + usize::from(holder.join().unwrap());
            shared.assert_all_back(2, in_slots);
        });
    }
}
