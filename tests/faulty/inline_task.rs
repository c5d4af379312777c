//! A task that lives inside the future of its owner. The owner polls it only if it was woken; dropping the owner drops
//! it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_tck::{BoxFuture, task::ReportedFailure};

pub(super) type Work = BoxFuture<'static, Result<(), ReportedFailure>>;

pub(super) struct InlineTask {
    pub(super) name: String,
    work: Option<Work>,
    woken: Arc<Woken>,
}

/// How a task ended: with this error, or with the message of this panic.
pub(super) enum Failed {
    Error(ReportedFailure),
    Panic(String),
}

struct Woken {
    flag: AtomicBool,
    owner: Mutex<Waker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, SeqCst);
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl InlineTask {
    pub(super) fn new(name: String, work: Work) -> Self {
        let woken = Woken { flag: AtomicBool::new(true), owner: Mutex::new(Waker::noop().clone()) };
        Self { name, work: Some(work), woken: Arc::new(woken) }
    }

    /// Polls it if it was woken; the future is dropped when it has ended.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), Failed>> {
        self.woken.owner.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        if !self.woken.flag.swap(false, SeqCst) {
            return Poll::Pending;
        }
        let Some(work) = &mut self.work else { return Poll::Pending };
        let waker = Waker::from(self.woken.clone());
        let polled = catch(|| work.as_mut().poll(&mut Context::from_waker(&waker)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result.map_err(Failed::Error),
            Err(message) => Err(Failed::Panic(message)),
        };
        let dropped = self.drop_now();
        Poll::Ready(ended.and(dropped.map_err(Failed::Panic)))
    }

    /// Marks it as woken, though nothing woke it.
    pub(super) fn wake(&self) {
        self.woken.flag.store(true, SeqCst);
    }

    /// Forgets the wakes since its last poll.
    pub(super) fn forget(&self) {
        self.woken.flag.store(false, SeqCst);
    }

    /// Drops the future. Returns the message of the panic if its destructor panics.
    pub(super) fn drop_now(&mut self) -> Result<(), String> {
        catch(|| self.work = None)
    }

    /// Detaches the future: it runs on as a task without an owner.
    pub(super) fn detach(mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(work));
        }
    }
}

fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(_) => "a panic without a message".to_owned(),
    })
}
