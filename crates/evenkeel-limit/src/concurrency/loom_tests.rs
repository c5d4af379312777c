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
    fast_path::{FastPath, Usage},
    state::State,
};
use super::{adaptive, snapshot};
use crate::{
    error::Reason,
    sync::{edges::CallPlace, entry::Stage},
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
        use tokio::task::Id;

        /// A thread.
        const NONE: u64 = 0;

        /// The two words of the shipped one. loom has no cell for a task of tokio: its place in a list of all that were ever set
        /// stands for it, plus one.
        #[derive(Debug)]
        pub(in super::super) struct TaskCell {
            task: AtomicU64,
            thread: AtomicU64,
            tasks: Mutex<Vec<Id>>,
        }

        impl TaskCell {
            pub(in super::super) fn new() -> Self {
                Self { task: AtomicU64::new(NONE), thread: AtomicU64::new(0), tasks: Mutex::default() }
            }

            pub(in super::super) fn set_thread(&self, thread: u64) {
                self.thread.store(thread, Release);
            }

            pub(in super::super) fn set(&self, task: Option<Id>) {
                // Not under the lock: loom may run another thread at each access.
                let place = task.map_or(NONE, |task| {
                    let mut tasks = self.tasks.lock().unwrap();
                    tasks.push(task);
                    tasks.len() as u64
                });
                self.task.store(place, Release);
            }

            pub(in super::super) fn get(&self) -> TaskId {
                match self.task.load(Acquire) {
                    NONE => TaskId::Thread(self.thread.load(Acquire)),
                    place => TaskId::Task(self.tasks.lock().unwrap()[place as usize - 1]),
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
#[expect(clippy::duplicate_mod, dead_code, reason = "the same with other atomics, and not all of it is used")]
#[path = "record.rs"]
mod record;
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
        let grants = (1 << 31) - 1;
        let fast_path = FastPath::new(loom::AtomicU64::new(grants << 33 | 5));
        assert!(!fast_path.take(1), "the lock has to take over the grants first");
        #[cfg(feature = "inspect")]
        assert!(fast_path.offer(1).is_some_and(|offer| !fast_path.take_offer(offer, 1)), "here as well");
        assert!(fast_path.put_back(1));
        let usage = fast_path.close();
        assert!(matches!(usage, Usage::Open { available: 6, granted } if granted == grants));

        assert!(!fast_path.put_back(u32::MAX));
        #[cfg(feature = "inspect")]
        assert!(fast_path.offer(1).is_none(), "closed");
        assert!(matches!(fast_path.close(), Usage::Closed { returned: u32::MAX }));
        fast_path.open(u32::MAX);
        #[cfg(feature = "inspect")]
        {
            let offer = fast_path.offer(u32::MAX).expect("all permits");
            assert!(fast_path.take_offer(offer, u32::MAX) && !fast_path.take_offer(offer, 0));
            assert!(fast_path.put_back(u32::MAX));
        }
        assert!(fast_path.take(u32::MAX) && fast_path.take(0) && !fast_path.take(1));
        assert!(fast_path.put_back(u32::MAX));
        let granted = if cfg!(feature = "inspect") { 3 } else { 2 };
        let usage = fast_path.close();
        assert!(matches!(usage, Usage::Open { available: u32::MAX, granted: all } if all == granted));
    });
}

/// The record of a holder: its thread begins its uses, any thread ends them, and a look sees the fields of one use, or none.
#[cfg(feature = "inspect")]
mod holders {
    use std::sync::OnceLock;

    use evenkeel_inspect::TaskId;
    use tokio::task::Id;

    use super::{
        record::{RANGE, Record},
        *,
    };

    /// The thread that has the record.
    const OWNER: u64 = 7;

    /// A limiter of one permit, and a record that its owner uses for some permits in turn.
    struct Recorded {
        core: Core,
        record: Record,
    }

    /// Two tasks: these take a while to make.
    fn tasks() -> [Id; 2] {
        static TASKS: OnceLock<[Id; 2]> = OnceLock::new();
        *TASKS.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let task =
                || runtime.block_on(async { tokio::spawn(async { tokio::task::id() }).await.unwrap() });
            [task(), task()]
        })
    }

    /// The task of the use with this number: some are of none.
    fn task_of(number: u64) -> Option<Id> {
        tasks().get(number as usize % 3).copied()
    }

    impl Recorded {
        fn new() -> Arc<Self> {
            let fast_path = FastPath::new(loom::AtomicU64::new(FastPath::closed()));
            let core = Core::new(fast_path, loom::Mutex::new(State::new(1, None)));
            core.with(|_, _| ());
            let word = || loom::AtomicU64::new(0);
            let record = Record {
                place: word(),
                number: word(),
                task: loom::TaskCell::new(),
                limiter: word(),
                weight: word(),
                since: word(),
            };
            Arc::new(Self { core, record })
        }

        /// Takes the permit as the owner does, with the use of this number; returns whether it was there.
        fn takes(&self, number: u64) -> bool {
            let is_taken = self.core.offer(1).is_some_and(|offer| self.core.take_offer(offer, 1));
            if is_taken {
                self.record.begin(task_of(number), number, number as u32);
            }
            is_taken
        }

        /// Ends the use that has begun, whoever does.
        fn ends(&self) {
            self.record.end();
            self.core.put_back(1);
        }

        /// Looks at the record; returns whether it was used.
        fn looks(&self) -> bool {
            let Some(used) = self.record.look() else { return false };
            let number = used.number;
            assert_eq!((used.limiter, u64::from(used.weight)), (number, number), "of one use");
            assert_eq!((used.place, used.since), (number / 10 * 2, number / 10), "of one range");
            assert_eq!(used.task, task_of(number).map_or(TaskId::Thread(OWNER), TaskId::Task));
            true
        }

        /// Prepares the record for uses with the numbers behind this one.
        fn prepare(&self, number: u64) {
            let range = number / 10;
            self.record.prepare(number, range * 2, range, OWNER);
        }
    }

    /// The owner takes three permits, of two ranges, and returns them, while another thread looks.
    #[test]
    fn a_look_sees_one_use() {
        model(|| {
            let shared = Recorded::new();
            let looking = Arc::clone(&shared);
            let looks = thread::spawn(move || _ = looking.looks());
            // The last two of a range, and one of a range before.
            for (before, uses) in [(RANGE - 3, 2), (10, 1)] {
                shared.prepare(before);
                for number in before + 1..=before + uses {
                    assert!(shared.record.is_free_for(number / 10 * 2) && shared.record.take_number());
                    assert!(shared.takes(number));
                    shared.ends();
                }
                let is_left = before == 10;
                assert_eq!((shared.record.take_number(), shared.record.take_number()), (is_left, is_left));
            }
            looks.join().unwrap();
            assert!(!shared.looks());
        });
    }

    /// Another thread returns the permit, and looks: the owner begins the next use behind that.
    #[test]
    fn a_use_begins_after_the_one_before_has_ended() {
        model(|| {
            let shared = Recorded::new();
            shared.prepare(10);
            assert!(shared.record.take_number() && shared.takes(11));
            let returning = Arc::clone(&shared);
            let returns = thread::spawn(move || {
                assert!(returning.looks(), "it is used until it is returned");
                returning.ends();
                returning.looks();
            });
            let mut is_taken = false;
            if shared.record.is_free() {
                shared.prepare(21);
                assert!(shared.record.take_number());
                is_taken = shared.takes(22);
            }
            returns.join().unwrap();
            assert_eq!(shared.looks(), is_taken);
        });
    }
}
