//! Random histories: against an exact model if each step comes to rest, and against the invariants if it does not.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_pool::{Get, GetError, Lease, Pool, Snapshot};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::{task::yield_now, time::sleep};

use crate::scripted::{
    Act, Broken, Refused, Script, Scripted, assert_sound, assert_whole, ms, pool_with, secs,
};

/// A future that is polled only when it was woken, so that a lost wake-up is seen.
struct Getter<'a> {
    name: usize,
    future: Pin<Box<Get<'a, Scripted>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<'a> Getter<'a> {
    fn new(name: usize, pool: &'a Pool<Scripted>) -> Self {
        Getter { name, future: Box::pin(pool.get()), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    fn poll(&mut self) -> Option<Result<Lease<Scripted>, GetError<Refused>>> {
        if !self.woken.0.swap(false, SeqCst) {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        let result = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(result) = result { Some(result) } else { None }
    }
}

/// The real pool: the callers that wait, and the callers that have a lease.
struct Real<'a> {
    pool: &'a Pool<Scripted>,
    waiting: Vec<Getter<'a>>,
    held: Vec<(usize, Lease<Scripted>)>,
    errors: Vec<(usize, &'static str)>,
}

impl<'a> Real<'a> {
    fn new(pool: &'a Pool<Scripted>) -> Self {
        Real { pool, waiting: Vec::new(), held: Vec::new(), errors: Vec::new() }
    }

    /// Polls the getter at this place, if it was woken.
    fn poll(&mut self, n: usize) -> bool {
        let Some(result) = self.waiting[n].poll() else { return false };
        let name = self.waiting.remove(n).name;
        match result {
            Ok(lease) => self.held.push((name, lease)),
            Err(GetError::Create(Refused) | GetError::CreateTimeout(_)) => self.errors.push((name, "create")),
            Err(GetError::Closed) => self.errors.push((name, "closed")),
            Err(GetError::Panic(_)) => self.errors.push((name, "panic")),
            Err(other) => panic!("{other:?}"),
        }
        true
    }

    /// Lets all come to rest, in the order of their arrival.
    async fn rest(&mut self, world: &World) {
        loop {
            world.settle().await;
            let mut n = 0;
            while n < self.waiting.len() && !self.poll(n) {
                n += 1;
            }
            if n == self.waiting.len() {
                world.settle().await;
                if !self.waiting.iter().any(|getter| getter.woken.0.load(SeqCst)) {
                    return;
                }
            }
        }
    }

    fn take(&mut self, n: usize) -> Option<Lease<Scripted>> {
        (!self.held.is_empty()).then(|| self.held.remove(n % self.held.len()).1)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get,
    TryGet,
    Cancel(usize),
    Return(usize),
    ReturnUnfit(usize),
    ReturnBroken(usize),
    Discard(usize),
    Detach(usize),
    FailCreate,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let n = || any::<usize>();
    prop_oneof![
        12 => Just(Op::Get),
        2 => Just(Op::TryGet),
        3 => n().prop_map(Op::Cancel),
        6 => n().prop_map(Op::Return),
        2 => n().prop_map(Op::ReturnUnfit),
        1 => n().prop_map(Op::ReturnBroken),
        1 => n().prop_map(Op::Discard),
        1 => n().prop_map(Op::Detach),
        2 => Just(Op::FailCreate),
        1 => prop::bool::weighted(0.2).prop_map(|close| if close { Op::Close } else { Op::Get }),
    ]
}

/// A model of the pool, written as naively as can be.
#[derive(Default)]
struct Model {
    max: usize,
    closed: bool,
    /// Objects by number, and whether they are unfit.
    idle: Vec<(usize, bool)>,
    held: Vec<(usize, usize)>,
    waiting: VecDeque<usize>,
    errors: Vec<(usize, &'static str)>,
    failing: usize,
    created: usize,
    create_failures: u64,
    discarded: u64,
    detached: u64,
}

impl Model {
    /// Serves all callers that can be served.
    fn rest(&mut self) {
        while let Some(&name) = self.waiting.front() {
            if let Some((object, unfit)) = self.idle.pop() {
                if unfit {
                    self.discarded += 1;
                    continue;
                }
                self.held.push((name, object));
            } else if self.held.len() == self.max {
                return;
            } else if self.failing > 0 {
                self.failing -= 1;
                self.create_failures += 1;
                self.errors.push((name, "create"));
            } else {
                self.held.push((name, self.created));
                self.created += 1;
            }
            self.waiting.pop_front();
        }
    }

    fn take(&mut self, n: usize) -> Option<usize> {
        (!self.held.is_empty()).then(|| self.held.remove(n % self.held.len()).1)
    }

    fn put_back(&mut self, n: usize, unfit: bool) {
        let Some(object) = self.take(n) else { return };
        if self.closed {
            self.discarded += 1;
        } else {
            self.idle.push((object, unfit));
        }
    }

    #[track_caller]
    fn compare(&self, real: &Real<'_>) {
        let Snapshot { idle, in_use, waiting, created, create_failures, discarded, detached, .. } =
            real.pool.snapshot();
        assert_eq!((idle, in_use, waiting), (self.idle.len(), self.held.len(), self.waiting.len()));
        assert_eq!((created, create_failures), (self.created as u64, self.create_failures));
        assert_eq!((discarded, detached), (self.discarded, self.detached));
        assert!(real.waiting.iter().map(|getter| getter.name).eq(self.waiting.iter().copied()));
        assert!(real.held.iter().map(|(name, lease)| (*name, lease.id)).eq(self.held.iter().copied()));
        assert_eq!(real.errors, self.errors);
        assert_eq!(real.pool.holders().len(), in_use);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Step by step, each caller has the very object, or the error, that the model says, and the same callers wait in
    /// the same order: whether checks are ready at once, or go through a task of the pool.
    #[test]
    fn follows_the_model(
        max in 1_usize..4,
        slow_checks in any::<bool>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        World::run(async |world| {
            let (pool, script) = pool_with(max, |builder| builder.acquire_timeout(secs(1000)));
            script.check.set(if slow_checks { Act::Yield } else { Act::Ready });
            let mut real = Real::new(&pool);
            let mut model = Model { max, ..Model::default() };
            for (name, op) in ops.into_iter().enumerate() {
                step(op, name, slow_checks, &mut real, &mut model, &script).await;
                model.rest();
                real.rest(&world).await;
                // A creation that waits for its time after one that failed.
                while pool.snapshot().creating > 0 {
                    sleep(secs(1)).await;
                    real.rest(&world).await;
                }
                model.compare(&real);
                assert_sound(&pool, &script);
            }
            drop(real);
            world.settle().await;
            if !model.closed {
                script.create.set(Act::Ready);
                for _ in 0..max {
                    // Unfit objects may be left.
                    assert!(pool.get().await.is_ok());
                }
                assert_whole(&pool, &script).await;
            }
        });
    }
}

async fn step<'a>(
    op: Op,
    name: usize,
    slow_checks: bool,
    real: &mut Real<'a>,
    model: &mut Model,
    script: &Script,
) {
    match op {
        Op::Get => {
            real.waiting.push(Getter::new(name, real.pool));
            if model.closed {
                model.errors.push((name, "closed"));
            } else {
                model.waiting.push_back(name);
            }
        }
        Op::TryGet => {
            let lease = real.pool.try_get();
            if !model.closed && model.waiting.is_empty() {
                if slow_checks {
                    // It leaves the topmost object to a check, and returns none.
                    if let Some((_, true)) = model.idle.last() {
                        model.idle.pop();
                        model.discarded += 1;
                    }
                } else {
                    while let Some((object, unfit)) = model.idle.pop() {
                        if !unfit {
                            model.held.push((name, object));
                            break;
                        }
                        model.discarded += 1;
                    }
                }
            }
            real.held.extend(lease.map(|lease| (name, lease)));
        }
        Op::Cancel(n) => {
            if !model.waiting.is_empty() {
                let n = n % model.waiting.len();
                model.waiting.remove(n);
                real.waiting.remove(n);
            }
        }
        Op::Return(n) => {
            model.put_back(n, false);
            drop(real.take(n));
        }
        Op::ReturnUnfit(n) => {
            model.put_back(n, true);
            if let Some(mut lease) = real.take(n) {
                lease.unfit = true;
            }
        }
        Op::ReturnBroken(n) => {
            model.discarded += u64::from(model.take(n).is_some());
            if let Some(mut lease) = real.take(n) {
                lease.broken = Broken::Yes;
            }
        }
        Op::Discard(n) => {
            model.discarded += u64::from(model.take(n).is_some());
            real.take(n).into_iter().for_each(Lease::discard);
        }
        Op::Detach(n) => {
            model.detached += u64::from(model.take(n).is_some());
            drop(real.take(n).map(Lease::detach));
        }
        Op::FailCreate => {
            model.failing += 1;
            script.create.next(Act::FAIL);
        }
        Op::Close => {
            assert!(real.pool.close(ms(0)).await.stragglers.len() == real.held.len());
            model.closed = true;
            model.discarded += model.idle.drain(..).len() as u64;
            model.errors.extend(model.waiting.drain(..).map(|name| (name, "closed")));
        }
    }
}

/// A step that need not come to rest.
#[derive(Clone, Debug)]
enum Move {
    Get,
    Poll(usize),
    Cancel(usize),
    Return(usize, Broken, bool),
    Discard(usize),
    Detach(usize),
    TryGet,
    Yield,
    Wait(u64),
    Create(Act),
    Check(Act),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Ready),
        2 => Just(Act::Yield),
        4 => (1_u64..5).prop_map(|time| Act::Slow(ms(time))),
        2 => (0_u64..5).prop_map(|time| Act::Fail(ms(time))),
        1 => (0_u64..5).prop_map(|time| Act::Panic(ms(time))),
        1 => Just(Act::Hang),
    ]
}

fn a_move() -> impl Strategy<Value = Move> {
    let n = || any::<usize>();
    let broken = prop_oneof![6 => Just(Broken::No), 1 => Just(Broken::Yes), 1 => Just(Broken::Panic)];
    prop_oneof![
        6 => Just(Move::Get),
        8 => n().prop_map(Move::Poll),
        3 => n().prop_map(Move::Cancel),
        6 => (n(), broken, prop::bool::weighted(0.2)).prop_map(|(n, broken, unfit)| Move::Return(n, broken, unfit)),
        1 => n().prop_map(Move::Discard),
        1 => n().prop_map(Move::Detach),
        1 => Just(Move::TryGet),
        4 => Just(Move::Yield),
        3 => (1_u64..4).prop_map(Move::Wait),
        3 => act().prop_map(Move::Create),
        3 => act().prop_map(Move::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// In any interleaving the numbers add up and there are never too many objects; and at rest no caller waits
    /// while there is something that it could have, and all objects can be leased.
    #[test]
    fn nothing_is_lost(max in 1_usize..4, moves in prop::collection::vec(a_move(), 1..80)) {
        World::builder().allow_panics(usize::MAX).run(async |world| {
            let (pool, script) = pool_with(max, |builder| {
                builder.acquire_timeout(secs(1000)).create_timeout(ms(10)).check_timeout(ms(10))
            });
            let mut real = Real::new(&pool);
            for (name, one) in moves.into_iter().enumerate() {
                make(one, name, &mut real, &script).await;
                assert_sound(&pool, &script);
                assert!(pool.snapshot().in_use >= real.held.len());
            }
            // Calls that hang come to their limit.
            for _ in 0..100 {
                real.rest(&world).await;
                assert_sound(&pool, &script);
                let snapshot = pool.snapshot();
                assert_eq!(snapshot.in_use, real.held.len(), "{snapshot:?}");
                if real.waiting.is_empty() {
                    break;
                }
                let Snapshot { idle, in_use, creating, checking, waiting, .. } = snapshot;
                assert!(
                    // While creations fail, one at a time waits for its pause.
                    idle == 0 && in_use + creating + checking == max || creating > 0 || checking >= waiting,
                    "somebody waits for nothing: {snapshot:?}"
                );
                real.take(0);
                sleep(secs(1)).await;
            }
            assert!(real.waiting.is_empty(), "{:?}", pool.snapshot());
            drop(real);
            sleep(secs(3)).await;
            world.settle().await;
            script.create.set(Act::Ready);
            script.check.set(Act::Ready);
            for _ in 0..max {
                assert!(pool.get().await.is_ok());
            }
            assert_whole(&pool, &script).await;
        });
    }
}

async fn make<'a>(one: Move, name: usize, real: &mut Real<'a>, script: &Script) {
    let place = |n: usize, len: usize| (len > 0).then(|| n % len);
    match one {
        Move::Get => real.waiting.push(Getter::new(name, real.pool)),
        Move::Poll(n) => {
            if let Some(n) = place(n, real.waiting.len()) {
                real.poll(n);
            }
        }
        Move::Cancel(n) => {
            if let Some(n) = place(n, real.waiting.len()) {
                real.waiting.remove(n);
            }
        }
        Move::Return(n, broken, unfit) => {
            if let Some(mut lease) = real.take(n) {
                (lease.broken, lease.unfit) = (broken, unfit);
            }
        }
        Move::Discard(n) => real.take(n).into_iter().for_each(Lease::discard),
        Move::Detach(n) => drop(real.take(n).map(Lease::detach)),
        Move::TryGet => {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| real.pool.try_get()));
            real.held.extend(caught.ok().flatten().map(|lease| (name, lease)));
        }
        Move::Yield => yield_now().await,
        Move::Wait(time) => sleep(ms(time)).await,
        Move::Create(act) => script.create.next(act),
        Move::Check(act) => script.check.next(act),
    }
}
