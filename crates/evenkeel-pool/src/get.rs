//! The way to a lease.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep};

use crate::check::{self, Checked};
use crate::create::create;
use crate::seat::Seated;
use crate::state::{Asker, Place, State, Step, Ticket};
use crate::{GetError, Lease, Manager, Pool};

/// The future of [`Pool::get`].
///
/// # Cancel safety
///
/// That of [`Pool::get`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::{Manager, Pool};
/// # struct Counters;
/// # impl Manager for Counters {
/// #     type Object = u32;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self) -> Result<u32, Self::Error> { Ok(0) }
/// # }
/// use evenkeel_pool::Get;
///
/// let pool = Pool::builder(Counters).build()?;
/// let get: Get<'_, Counters> = pool.get(); // it does nothing yet
/// assert_eq!(*get.await?, 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Get<'a, M: Manager> {
    pool: &'a Pool<M>,
    place: Place,
    // Only while it waits.
    ticket: Option<Ticket>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<'a, M: Manager> Get<'a, M> {
    pub(crate) fn new(pool: &'a Pool<M>, place: Place) -> Self {
        Self { pool, place, ticket: None, deadline: None }
    }

    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Result<Seated<M>, GetError<M::Error>>> {
        let Self { pool, place, ticket, deadline } = self;
        let shared = pool.shared();
        let mut asker = Asker::new(shared, cx.waker());
        if ticket.is_none() && shared.will_wait() {
            asker.clone_waker();
        }
        let now = Instant::now();
        let mut step = shared.update(|state| state.step(ticket, place, now, &mut asker));
        let served = loop {
            step = match step {
                Step::Clone => {
                    asker.clone_waker();
                    shared.update(|state| state.step(ticket, place, now, &mut asker))
                }
                Step::Check(seated) => {
                    let seat = seated.seat.key();
                    match check::begin(seated, cx) {
                        Checked::Fit(seated) => return Poll::Ready(Ok(seated)),
                        Checked::Panicked(panic) => return Poll::Ready(Err(GetError::Panic(panic))),
                        Checked::Unfit => shared.update(|state| state.step(ticket, place, now, &mut asker)),
                        Checked::Unready(check) => {
                            asker.clone_waker();
                            let step = shared
                                .update(|state| state.wait_for_check(seat, ticket, place, now, &mut asker));
                            pool.spawn("a check", check::end(Arc::clone(shared), check));
                            step
                        }
                    }
                }
                Step::Create(seat, from) => {
                    pool.spawn("a creation", create(seat, from));
                    Step::Wait
                }
                Step::Wait => {
                    let limit = shared.limits.acquire_timeout;
                    ready!(deadline.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                    let expire = |state: &mut State<M>| {
                        state.expire(ticket, now).map(|taken| Seated::new(shared, taken))
                    };
                    break shared.update(expire);
                }
                Step::Done(served) => break served,
            }
        };
        Poll::Ready(served)
    }

    /// Ends the wait; an object that came meanwhile goes to the next.
    fn leave(&mut self) {
        if self.ticket.is_some() {
            let shared = self.pool.shared();
            let leave = |state: &mut State<M>| {
                state.leave(&mut self.ticket).map(|served| served.map(|taken| Seated::new(shared, taken)))
            };
            if let Some(Ok(seated)) = shared.update(leave) {
                seated.offer();
            }
        }
    }
}

impl<M: Manager> Future for Get<'_, M> {
    type Output = Result<Lease<M>, GetError<M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let result = ready!(self.poll_served(cx));
        coop.made_progress();
        self.leave();
        Poll::Ready(result.map(Lease::new))
    }
}

impl<M: Manager> Drop for Get<'_, M> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<M: Manager> fmt::Debug for Get<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("place", &format_args!("{}", self.place))
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
