//! A manager that follows a script, and counts.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_pool::{BoxError, Builder, Lease, Manager, Pool, Snapshot};
use tokio::{task::yield_now, time::sleep};

/// The behavior of one call of the manager.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Ready,
    /// Yields to other tasks, and passes.
    Yield,
    Slow(Duration),
    Fail(Duration),
    Panic(Duration),
    Hang,
}

impl Act {
    pub(crate) const FAIL: Act = Act::Fail(Duration::ZERO);
    pub(crate) const PANIC: Act = Act::Panic(Duration::ZERO);

    pub(crate) async fn pass(self) -> Result<(), Refused> {
        match self {
            Act::Ready => {}
            Act::Yield => yield_now().await,
            Act::Slow(time) => sleep(time).await,
            Act::Fail(time) => {
                nap(time).await;
                return Err(Refused);
            }
            Act::Panic(time) => {
                nap(time).await;
                panic!("the script panics");
            }
            Act::Hang => std::future::pending().await,
        }
        Ok(())
    }
}

async fn nap(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

/// The acts of one method: for the next calls, and then in turn for all later ones.
#[derive(Debug)]
pub(crate) struct Acts(Mutex<(VecDeque<Act>, Vec<Act>, usize)>);

impl Acts {
    fn new() -> Self {
        Acts(Mutex::new((VecDeque::new(), vec![Act::Ready], 0)))
    }

    pub(crate) fn set(&self, act: Act) {
        self.set_all(&[act]);
    }

    pub(crate) fn set_all(&self, acts: &[Act]) {
        *self.0.lock().unwrap() = (VecDeque::new(), acts.to_vec(), 0);
    }

    pub(crate) fn next(&self, act: Act) {
        self.0.lock().unwrap().0.push_back(act);
    }

    fn take(&self) -> Act {
        let (next, later, turn) = &mut *self.0.lock().unwrap();
        next.pop_front().unwrap_or_else(|| {
            *turn += 1;
            later[*turn % later.len()]
        })
    }
}

/// The orders of the test to the manager, and its counts.
pub(crate) struct Script {
    pub(crate) create: Acts,
    pub(crate) check: Acts,
    /// A call during the first poll of the next check.
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Calls of `create` and `check` under way.
    pub(crate) running: AtomicUsize,
    /// Objects that live, as a server would count them, and their peak.
    pub(crate) live: AtomicUsize,
    pub(crate) peak: AtomicUsize,
    /// Objects made, and calls of `create`.
    pub(crate) made: AtomicUsize,
    pub(crate) creations: AtomicUsize,
}

impl Script {
    pub(crate) fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, SeqCst);
        Running(self)
    }
}

struct Running<'a>(&'a Script);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

#[derive(Clone)]
pub(crate) struct Scripted(pub(crate) Arc<Script>);

impl Scripted {
    pub(crate) fn new() -> Self {
        Scripted(Arc::new(Script {
            create: Acts::new(),
            check: Acts::new(),
            meanwhile: Mutex::new(None),
            running: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            creations: AtomicUsize::new(0),
        }))
    }
}

/// An object, numbered in the order of creation.
pub(crate) struct Item {
    pub(crate) id: usize,
    /// Whether its next check fails.
    pub(crate) unfit: bool,
    /// Whether it is broken at its return.
    pub(crate) broken: Broken,
    counted: bool,
    script: Arc<Script>,
}

impl Item {
    /// Stops counting it as an object of the pool.
    pub(crate) fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.script.live.fetch_sub(1, SeqCst);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Broken {
    No,
    Yes,
    Panic,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item {}", self.id)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.uncount();
    }
}

impl Manager for Scripted {
    type Object = Item;
    type Error = Refused;

    async fn create(&self) -> Result<Item, Refused> {
        let script = &self.0;
        let _running = script.run();
        script.creations.fetch_add(1, SeqCst);
        script.create.take().pass().await?;
        script.peak.fetch_max(script.live.fetch_add(1, SeqCst) + 1, SeqCst);
        let id = script.made.fetch_add(1, SeqCst);
        Ok(Item { id, unfit: false, broken: Broken::No, counted: true, script: Arc::clone(script) })
    }

    async fn check(&self, item: &mut Item) -> Result<(), BoxError> {
        let _running = self.0.run();
        let meanwhile = self.0.meanwhile.lock().unwrap().take();
        meanwhile.into_iter().for_each(|happens| happens());
        self.0.check.take().pass().await?;
        if item.unfit { Err("unfit".into()) } else { Ok(()) }
    }

    fn is_broken(&self, item: &mut Item) -> bool {
        assert!(item.broken != Broken::Panic, "broken for good");
        item.broken == Broken::Yes
    }
}

/// A pool over a scripted manager, and the script.
pub(crate) fn pool(max: usize) -> (Pool<Scripted>, Arc<Script>) {
    pool_with(max, |builder| builder)
}

pub(crate) fn pool_with(
    max: usize,
    configure: impl FnOnce(Builder<Scripted>) -> Builder<Scripted>,
) -> (Pool<Scripted>, Arc<Script>) {
    let manager = Scripted::new();
    let script = Arc::clone(&manager.0);
    (configure(Pool::builder(manager).max(max)).build().unwrap(), script)
}

/// Returns `n` leases, held at the same time.
pub(crate) async fn take(pool: &Pool<Scripted>, n: usize) -> Vec<Lease<Scripted>> {
    let mut leases = Vec::new();
    for _ in 0..n {
        leases.push(pool.get().await.unwrap());
    }
    leases
}

/// Asserts the invariants of every instant.
#[track_caller]
pub(crate) fn assert_sound(pool: &Pool<Scripted>, script: &Script) {
    let snapshot = pool.snapshot();
    let Snapshot { max, size, idle, in_use, creating, checking, created, discarded, detached, .. } = snapshot;
    assert_eq!(size, idle + in_use + creating + checking, "{snapshot:?}");
    assert!(size <= max, "{snapshot:?}");
    assert_eq!(created, (idle + in_use + checking) as u64 + discarded + detached, "{snapshot:?}");
    assert!(script.peak.load(SeqCst) <= max, "{} objects at a time, {snapshot:?}", script.peak.load(SeqCst));
}

/// Asserts the invariants without a lease: all objects can be leased at once, and no other one lives.
pub(crate) async fn assert_whole(pool: &Pool<Scripted>, script: &Script) {
    assert_sound(pool, script);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0), "{snapshot:?}");
    let leases = take(pool, snapshot.max).await;
    assert_sound(pool, script);
    assert_eq!(script.live.load(SeqCst), snapshot.max);
    drop(leases);
    assert_eq!((pool.snapshot().idle, pool.snapshot().size), (snapshot.max, snapshot.max));
}

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
