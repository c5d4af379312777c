//! Every phase of a checkout, times every way in which it can end, with and without a caller behind it: the next one gets the
//! object, the capacity is exact, and the numbers are true.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_pool::{BoxError, Get, GetError, Lease, Manager, Pool, Snapshot};
use evenkeel_testkit::World;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::scripted::{Act, Item, Refused, Script, Scripted, ms, secs};

/// Where the object is when the checkout ends; another one is in use all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// In use.
    Waiting,
    Creating,
    Validating,
    Resetting,
    /// A task has created it, and served the caller, which has not been polled since.
    HandedOver,
    /// It was returned, and the caller is woken for it.
    Called,
    /// In use, and the pool is being closed.
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Drop,
    Timeout,
    Deadline,
    /// The manager panics, or if that does nothing in this phase, the caller.
    Panic,
    Close,
    Retire,
    Shrink,
}

const PHASES: [Phase; 7] = [
    Phase::Waiting,
    Phase::Creating,
    Phase::Validating,
    Phase::Resetting,
    Phase::HandedOver,
    Phase::Called,
    Phase::Closing,
];

const ENDS: [End; 7] =
    [End::Drop, End::Timeout, End::Deadline, End::Panic, End::Close, End::Retire, End::Shrink];

/// The time that the manager takes, and that of a caller that runs out of it.
const WORK: Duration = ms(100);
const LIMIT: Duration = ms(30);

/// The scripted manager, whose resets have a script of their own.
#[derive(Clone)]
struct Phased {
    scripted: Scripted,
    resets: Scripted,
}

impl Manager for Phased {
    type Object = Item;
    type Error = Refused;

    fn create(&self) -> impl Future<Output = Result<Item, Refused>> + Send {
        self.scripted.create()
    }

    fn check(&self, item: &mut Item) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.scripted.check(item)
    }

    fn reset(&self, item: &mut Item) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.resets.check(item)
    }

    fn is_broken(&self, item: &mut Item) -> bool {
        self.scripted.is_broken(item)
    }
}

type Outcome = Result<Lease<Phased>, GetError<Refused>>;
type Subject<'a> = Pin<Box<Get<'a, Phased>>>;

#[test]
fn whatever_happens_when_nothing_is_lost() {
    for phase in PHASES {
        for end in ENDS {
            for followed in [false, true] {
                World::builder().allow_panics(usize::MAX).run(async |world| {
                    Case::new(phase, end, followed).run(&world).await;
                });
            }
        }
    }
}

struct Case {
    phase: Phase,
    end: End,
    followed: bool,
    pool: Pool<Phased>,
    manager: Phased,
}

impl Case {
    fn new(phase: Phase, end: End, followed: bool) -> Self {
        let manager = Phased { scripted: Scripted::new(), resets: Scripted::new() };
        let limit = if end == End::Timeout { LIMIT } else { secs(1000) };
        let pool = Pool::builder(manager.clone()).max(2).acquire_timeout(limit).build().unwrap();
        Self { phase, end, followed, pool, manager }
    }

    fn script(&self) -> &Arc<Script> {
        &self.manager.scripted.0
    }

    async fn run(&self, world: &World) {
        let mut other = Some(self.pool.get().await.unwrap());
        if self.phase == Phase::Closing {
            return self.run_closing(other.take(), world).await;
        }
        let mut mine = if self.phase == Phase::Creating || self.phase == Phase::HandedOver {
            None
        } else {
            Some(self.pool.get().await.unwrap())
        };
        let act = if self.end == End::Panic { Act::Panic(WORK) } else { Act::Slow(WORK) };
        match self.phase {
            Phase::Creating => self.script().create.next(act),
            Phase::HandedOver => self.script().create.next(Act::Slow(ms(1))),
            Phase::Validating => {
                self.script().check.next(act);
                drop(mine.take());
            }
            Phase::Resetting => {
                self.manager.resets.0.check.next(act);
                drop(mine.take());
            }
            _ => {}
        }
        let began = Instant::now();
        let mut subject = Some(self.subject());
        assert!(poll(&mut subject).is_pending());
        let follower = self.followed.then(|| self.follow());
        world.settle().await;
        match self.phase {
            Phase::Called => drop(mine.take()),
            Phase::HandedOver => sleep(ms(1)).await,
            _ => {}
        }
        world.settle().await;
        self.assert_sound();

        self.end(&mut subject, world).await;
        world.settle().await;
        self.assert_sound();
        let result = self.result(&mut subject, world).await;
        self.judge(result, began);
        self.rest(&mut mine, &mut other, &mut subject, follower, world).await;
    }

    fn subject(&self) -> Subject<'_> {
        match self.end {
            End::Deadline => Box::pin(self.pool.get_by(Instant::now() + LIMIT)),
            _ => Box::pin(self.pool.get()),
        }
    }

    /// A caller with much time, which keeps nothing.
    fn follow(&self) -> JoinHandle<Result<usize, GetError<Refused>>> {
        let pool = self.pool.clone();
        tokio::spawn(async move { Ok(pool.get_by(Instant::now() + secs(500)).await?.id) })
    }

    async fn end(&self, subject: &mut Option<Subject<'_>>, world: &World) {
        match self.end {
            End::Drop => drop(subject.take()),
            End::Timeout | End::Deadline => sleep(LIMIT).await,
            End::Panic if matches!(self.phase, Phase::Creating | Phase::Validating | Phase::Resetting) => {
                sleep(WORK).await;
            }
            End::Panic => {
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    let _subject = subject.take();
                    panic!("the caller panics");
                }));
                assert!(unwound.is_err());
            }
            End::Close => {
                let closed = self.pool.close(ms(0)).await;
                assert_eq!(closed.stragglers.len(), self.pool.snapshot().in_use);
            }
            End::Retire => self.pool.retire_all(),
            End::Shrink => self.pool.resize(1).unwrap(),
        }
        world.settle().await;
    }

    /// Returns the result of the caller if it has one now.
    async fn result(&self, subject: &mut Option<Subject<'_>>, world: &World) -> Option<Outcome> {
        subject.as_ref()?;
        let result = poll(subject);
        world.settle().await;
        match result {
            Poll::Ready(result) => {
                *subject = None;
                Some(result)
            }
            Poll::Pending => None,
        }
    }

    fn judge(&self, result: Option<Outcome>, began: Instant) {
        let context = format!("{:?} {:?} {}", self.phase, self.end, self.followed);
        let has_object = matches!(self.phase, Phase::HandedOver | Phase::Called);
        let in_task = matches!(self.phase, Phase::Creating | Phase::Validating | Phase::Resetting);
        match (self.end, result) {
            (End::Drop, None) => {}
            (End::Panic, None) => assert!(!in_task, "{context}"),
            (End::Panic, Some(Err(GetError::Panic(_)))) => assert!(in_task, "{context}"),
            (End::Timeout | End::Deadline, Some(Ok(_))) => assert!(has_object, "{context}"),
            (End::Timeout | End::Deadline, Some(Err(GetError::Timeout(why)))) => {
                assert!(!has_object, "{context}");
                assert_eq!((why.waited, began.elapsed()), (LIMIT, LIMIT), "{context}");
            }
            (End::Close, Some(Err(GetError::Closed))) => {
                assert!(self.phase != Phase::HandedOver, "{context}")
            }
            (End::Close | End::Retire | End::Shrink, Some(Ok(_))) => {
                assert!(self.phase == Phase::HandedOver, "{context}");
            }
            (End::Retire | End::Shrink, None) => assert!(self.phase != Phase::HandedOver, "{context}"),
            (_, result) => panic!("{context}: {:?}", result.map(|result| result.map(|lease| lease.id))),
        }
    }

    /// Lets all come to rest, and sees that nothing is missing.
    async fn rest(
        &self,
        mine: &mut Option<Lease<Phased>>,
        other: &mut Option<Lease<Phased>>,
        subject: &mut Option<Subject<'_>>,
        follower: Option<JoinHandle<Result<usize, GetError<Refused>>>>,
        world: &World,
    ) {
        let context = format!("{:?} {:?} {}", self.phase, self.end, self.followed);
        let object = mine.as_ref().map_or(1, |lease| lease.id);
        drop(mine.take());
        // The caller that still waits is served before the one behind it.
        for _ in 0..300 {
            sleep(ms(1)).await;
            self.assert_sound();
            if let Some(result) = self.result(subject, world).await {
                assert!(result.is_ok() && self.end != End::Shrink, "{context}: there is no room");
            }
        }
        if self.end == End::Shrink {
            let snapshot = self.pool.snapshot();
            assert_eq!((snapshot.size, snapshot.in_use), (1, 1), "{context}: the other one");
            assert!(!follower.as_ref().is_some_and(JoinHandle::is_finished), "{context}: there is no room");
            drop(other.take());
            world.settle().await;
            if let Some(result) = self.result(subject, world).await {
                assert_eq!(result.unwrap().id, 0, "{context}: the one that is left");
            }
        }
        assert!(subject.is_none(), "{context}: it waits for ever, {:?}", self.pool.snapshot());
        if let Some(follower) = follower {
            world.settle().await;
            assert!(follower.is_finished(), "{context}: {:?}", self.pool.snapshot());
            match follower.await.unwrap() {
                Ok(id) => {
                    assert!(self.end != End::Close, "{context}");
                    // An object on its way to the one in front goes to the one behind, and no other is made.
                    let keeps = matches!(self.end, End::Drop | End::Timeout | End::Deadline)
                        || self.end == End::Panic
                            && !matches!(self.phase, Phase::Creating | Phase::Validating | Phase::Resetting);
                    if keeps {
                        assert_eq!((id, self.script().made.load(SeqCst)), (object, 2), "{context}");
                    }
                }
                Err(GetError::Closed) => assert!(self.end == End::Close, "{context}"),
                Err(error) => panic!("{context}: {error:?}"),
            }
        }
        drop(other.take());
        self.assert_whole().await;
    }

    async fn assert_whole(&self) {
        let context = format!("{:?} {:?} {}", self.phase, self.end, self.followed);
        let snapshot = self.pool.snapshot();
        assert_eq!(
            (snapshot.in_use, snapshot.waiting, snapshot.checking),
            (0, 0, 0),
            "{context}: {snapshot:?}"
        );
        assert_eq!(self.script().live.load(SeqCst), snapshot.idle, "{context}: {snapshot:?}");
        if self.end == End::Close || self.phase == Phase::Closing {
            assert_eq!((snapshot.size, self.script().running.load(SeqCst)), (0, 0), "{context}");
            assert!(matches!(self.pool.get().await, Err(GetError::Closed)), "{context}");
            assert!(self.pool.close(ms(0)).await.stragglers.is_empty(), "{context}");
            return;
        }
        self.pool.resize(2).unwrap();
        let leases = [self.pool.get().await.unwrap(), self.pool.get().await.unwrap()];
        self.assert_sound();
        assert_eq!(self.script().live.load(SeqCst), 2, "{context}");
        drop(leases);
        assert_eq!(self.pool.snapshot().idle, 2, "{context}");
    }

    fn assert_sound(&self) {
        let snapshot = self.pool.snapshot();
        let Snapshot { size, idle, in_use, creating, checking, created, discarded, detached, .. } = snapshot;
        let context = format!("{:?} {:?} {}: {snapshot:?}", self.phase, self.end, self.followed);
        assert_eq!(size, idle + in_use + creating + checking, "{context}");
        assert_eq!(created, (idle + in_use + checking) as u64 + discarded + detached, "{context}");
        assert_eq!(self.script().live.load(SeqCst), idle + in_use + checking, "{context}");
        assert_eq!(self.pool.holders().len(), in_use, "{context}");
        assert!(self.script().peak.load(SeqCst) <= 2, "{context}");
    }

    /// The future that ends is that of the close.
    async fn run_closing(&self, other: Option<Lease<Phased>>, world: &World) {
        let mine = self.pool.get().await.unwrap();
        let within = if matches!(self.end, End::Timeout | End::Deadline) { LIMIT } else { secs(1000) };
        let mut close = Some(Box::pin(self.pool.close(within)));
        let polled = close.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let follower = self.followed.then(|| self.follow());
        match self.end {
            End::Drop => drop(close.take()),
            End::Timeout | End::Deadline => {
                let began = Instant::now();
                assert_eq!(close.take().unwrap().await.stragglers.len(), 2);
                assert_eq!(began.elapsed(), LIMIT);
            }
            End::Panic => {
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    let _close = close.take();
                    panic!("the caller panics");
                }));
                assert!(unwound.is_err());
            }
            End::Close => assert_eq!(self.pool.close(ms(0)).await.stragglers.len(), 2),
            End::Retire => self.pool.retire_all(),
            End::Shrink => self.pool.resize(1).unwrap(),
        }
        world.settle().await;
        self.assert_sound();
        drop(mine);
        self.assert_sound();
        drop(other);
        if let Some(close) = close {
            assert!(close.await.stragglers.is_empty());
        }
        if let Some(follower) = follower {
            assert!(matches!(follower.await.unwrap(), Err(GetError::Closed)));
        }
        self.assert_whole().await;
    }
}

fn poll(subject: &mut Option<Subject<'_>>) -> Poll<Outcome> {
    let subject = subject.as_mut().expect("it is there");
    subject.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
