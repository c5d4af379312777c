//! The clock and the tasks of a test, with faults.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use evenkeel_tck::{BoxFuture, testkit::Controls};
use evenkeel_testkit::World;
use tokio::{
    runtime::Handle,
    sync::{Mutex as Gate, oneshot},
    task::{AbortHandle, JoinHandle, spawn_blocking, yield_now},
    task_local,
    time::{Instant, advance, sleep},
};

use super::Fault;
use crate::adapters::testkit::evenkeel::InWorld;

const MILLI: Duration = Duration::from_millis(1);

task_local! {
    static IN_TASK: ();
}

pub(super) struct FaultyControls {
    fault: Fault,
    sound: Option<InWorld>,
    start: Instant,
    gate: Arc<Gate<()>>,
    calls: AtomicU32,
    spawned: Mutex<Vec<AbortHandle>>,
}

impl FaultyControls {
    pub(super) fn new(fault: Fault, world: Option<World>) -> Self {
        Self {
            fault,
            sound: world.map(InWorld),
            start: Instant::now(),
            gate: Arc::default(),
            calls: AtomicU32::new(0),
            spawned: Mutex::default(),
        }
    }

    fn count(&self) -> u32 {
        self.calls.fetch_add(1, Relaxed)
    }

    fn spawned(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.spawned.lock().expect("nothing panics within")
    }

    /// Moves the clock beside the test.
    pub(super) fn begin(&self) {
        let yields = match self.fault {
            Fault::MovesWhileTasksRun => 10,
            Fault::MovesWhileBytesTravel => 2,
            _ => return,
        };
        tokio::spawn(async move {
            for _ in 0..yields {
                yield_now().await;
            }
            advance(MILLI * 2).await;
        });
    }

    /// The leak check of a faulty kit.
    pub(super) fn check_at_the_end(&self) {
        let left = match self.fault {
            Fault::SeesTasksOfTheTestAlone => {
                self.spawned().iter().filter(|task| !task.is_finished()).count()
            }
            Fault::CountsTasksThatHaveEnded => self.spawned().len(),
            Fault::AbortsWhatIsLeft => {
                self.spawned().iter().for_each(AbortHandle::abort);
                0
            }
            Fault::WaitsForNoTask => Handle::current().metrics().num_alive_tasks(),
            _ => 0,
        };
        assert!(left == 0, "{left} task(s) are left");
    }
}

impl Controls for FaultyControls {
    fn now(&self) -> Instant {
        let elapsed = self.start.elapsed();
        self.start
            + match self.fault {
                Fault::Drifts => elapsed + Duration::from_micros(self.count().into()),
                Fault::KeepsTimeInFloats => Duration::from_secs_f32(elapsed.as_secs_f32()),
                _ => elapsed,
            }
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let number = self.count();
        match self.fault {
            Fault::SleepsLate => Box::pin(sleep(time + MILLI)),
            Fault::KnowsOneThread if !is_the_one_thread() => Box::pin(sleep(time + MILLI)),
            Fault::FiresInTheOrderOfSetting => {
                let gate = self.gate.clone();
                Box::pin(async move {
                    let _turn = gate.lock().await;
                    sleep(time).await;
                })
            }
            Fault::FiresTheLastFirst => Box::pin(async move {
                sleep(time).await;
                for _ in number..20 {
                    yield_now().await;
                }
            }),
            _ => Box::pin(sleep(time)),
        }
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> JoinHandle<()> {
        let is_of_the_test = IN_TASK.try_with(|()| ()).is_err();
        let task = tokio::spawn(IN_TASK.scope((), task));
        if is_of_the_test {
            self.spawned().push(task.abort_handle());
        }
        task
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        if self.fault == Fault::PassesBlockingCalls {
            let (done, ended) = oneshot::channel();
            thread::spawn(move || {
                work();
                let _ = done.send(());
            });
            return Box::pin(async { drop(ended.await) });
        }
        Box::pin(async { drop(spawn_blocking(work).await) })
    }

    fn move_by(&self, time: Duration) -> BoxFuture<'static, ()> {
        let Some(sound) = &self.sound else { return Box::pin(async {}) };
        match self.fault {
            Fault::RoundsMoves => sound.move_by(Duration::from_secs(time.as_secs() + 1)),
            Fault::JumpsToTheEndOfAMove => {
                let settled = sound.settle();
                Box::pin(async move {
                    advance(time).await;
                    settled.await;
                })
            }
            Fault::ReturnsBeforeTasksHaveRun => Box::pin(sleep(time)),
            Fault::SkipsEachTenthMove if self.count() % 10 == 9 => sound.settle(),
            _ => sound.move_by(time),
        }
    }

    fn hold(&self) -> Box<dyn Send> {
        match &self.sound {
            Some(sound) if self.fault != Fault::IgnoresHolds => sound.hold(),
            _ => Box::new(()),
        }
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        match &self.sound {
            Some(sound) if self.fault != Fault::SettlesNothing => sound.settle(),
            _ => Box::pin(async {}),
        }
    }
}

/// Whether this is the first thread that has asked.
fn is_the_one_thread() -> bool {
    static ONE: Mutex<Option<ThreadId>> = Mutex::new(None);
    let current = thread::current().id();
    *ONE.lock().expect("nothing panics within").get_or_insert(current) == current
}

/// The real time that this takes.
#[expect(clippy::disallowed_methods, reason = "a faulty watch takes real time for computing time")]
pub(super) fn computing(run: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    run();
    start.elapsed()
}
