//! A part of an item on its way through the stages, and the leases that its work needs.

use std::{
    convert::Infallible,
    fmt, mem,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use crate::{
    in_hand::{InHand, PartEnd},
    item_key::ItemKey,
    race::default_backoff,
};

/// One item of so many has its first polls timed, which spares the others two readings of the clock.
pub(crate) const SAMPLED: u32 = 32;

/// The right to one part of an item in hand; dropping it says what became of the part.
pub struct Token {
    in_hand: Arc<InHand>,
    key: ItemKey,
    /// The losses that were looked at; the low bits, which tell as much and take less to move.
    losses: u32,
    rare: Option<Box<Rare>>,
    attempt: u32,
    state: State,
    /// Whether its task has woken another one, and is to return from its poll before it goes on to code of others.
    has_woken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Its drop tells that the part is done.
    Done,
    /// The end of the part is told.
    Told,
}

/// The facts that few tokens have.
#[derive(Debug, Default)]
struct Rare {
    /// The reason of a failure, and the delay of another attempt.
    failure: Option<Box<(String, Duration)>>,
    /// The indices of the part, within the item that was split; empty for a whole item.
    part: Box<str>,
    /// The place of the waker of its worker.
    place: Option<usize>,
}

/// An item, or a part of one, with its token.
#[derive(Debug)]
pub struct Carried<T> {
    pub(crate) token: Token,
    pub(crate) item: T,
}

/// Nothing is made of an item that has ended: it has no output to carry on.
impl<T> From<Infallible> for Carried<T> {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Token {
    pub(crate) fn new(in_hand: &Arc<InHand>, key: ItemKey, attempt: u32, losses: u32) -> Self {
        Self {
            in_hand: Arc::clone(in_hand),
            key,
            losses,
            rare: None,
            attempt,
            state: State::Open,
            has_woken: false,
        }
    }

    /// Returns the number of the delivery.
    pub(crate) const fn number(&self) -> u64 {
        self.key.number
    }

    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the identity of the item, and the indices of the part.
    pub(crate) fn id(&self) -> String {
        let mut id = self.in_hand.origin(self.key);
        id.push_str(self.part());
        id
    }

    fn part(&self) -> &str {
        self.rare.as_ref().map_or("", |rare| &*rare.part)
    }

    /// Notes that the part is done; the drop of the token tells it.
    #[inline]
    pub(crate) fn set_done(&mut self) {
        self.state = State::Done;
    }

    /// Notes that the part has failed; the drop of the token tells it.
    pub(crate) fn fail(&mut self, reason: String, retry_after: Duration) {
        self.rare.get_or_insert_default().failure = Some(Box::new((reason, retry_after)));
    }

    /// Returns whether its lease is lost, so that its work is of no more use.
    #[inline]
    pub(crate) fn is_lost(&mut self) -> bool {
        let losses = self.in_hand.losses();
        losses != self.losses && self.look_for_loss(losses)
    }

    #[cold]
    fn look_for_loss(&mut self, losses: u32) -> bool {
        self.losses = losses;
        self.in_hand.is_lost(self.key)
    }

    /// Lets the loss of its lease wake a worker.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        if self.in_hand.ack_wait.is_some()
            && let Some(place) = self.in_hand.watch(self.key, self.place(), waker.clone())
        {
            self.rare.get_or_insert_default().place = Some(place);
        }
    }

    fn place(&self) -> Option<usize> {
        self.rare.as_ref().and_then(|rare| rare.place)
    }

    /// Notes that another task may have been woken.
    #[inline]
    pub(crate) fn set_woken(&mut self) {
        self.has_woken = self.in_hand.has_threads;
    }

    /// Returns whether its task is to [leave its thread](crate::threads::leave_thread) before it goes on to code of others, since it
    /// has woken another one. It is no future, which each item would have to poll at each stage.
    #[inline]
    #[must_use = "another task may be kept to the thread"]
    pub(crate) fn must_leave(&mut self) -> bool {
        mem::take(&mut self.has_woken)
    }

    /// Tells what became of the part. Returns whether its task is to leave its thread, as [`must_leave`](Self::must_leave) does.
    #[inline]
    #[must_use = "another task may be kept to the thread"]
    pub(crate) fn end(&mut self) -> bool {
        if self.tell() {
            self.set_woken();
        }
        self.has_woken
    }

    /// Tells what became of the part. Returns whether that may have woken a task.
    #[inline]
    fn tell(&mut self) -> bool {
        match mem::replace(&mut self.state, State::Told) {
            State::Done => self.in_hand.end_done(self.key, self.place()),
            State::Open => self.end_undone(),
            State::Told => false,
        }
    }

    #[cold]
    fn end_undone(&mut self) -> bool {
        let end = match self.rare.as_mut().and_then(|rare| rare.failure.take()) {
            Some(failure) => PartEnd::Failed(failure),
            None if thread::panicking() => {
                let reason = "it was dropped by a panic before it ended".to_owned();
                PartEnd::Failed(Box::new((reason, default_backoff(self.attempt))))
            }
            None => PartEnd::Dropped,
        };
        self.in_hand.end_part(self.key, end, self.place())
    }

    /// Splits the part; without items it is done.
    pub(crate) fn split<T>(&mut self, items: Vec<T>) -> Vec<Carried<T>> {
        self.set_done();
        // One more than there are, this one, so that the first part that ends is not taken for the last.
        self.in_hand.split(self.key, items.len());
        let carry = |(index, item)| {
            let mut token = Self::new(&self.in_hand, self.key, self.attempt, self.losses);
            let part = format!("{}/{index}", self.part()).into();
            token.rare = Some(Box::new(Rare { part, ..Rare::default() }));
            Carried { token, item }
        };
        items.into_iter().enumerate().map(carry).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("key", &self.key).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Drop for Token {
    #[inline]
    fn drop(&mut self) {
        self.tell();
    }
}

/// The leases under which a function runs.
pub(crate) trait LeaseHolder {
    fn is_lost(&mut self) -> bool;
    fn is_sampled(&self) -> bool;
    fn watch(&mut self, cx: &Context<'_>);
}

impl LeaseHolder for &mut Token {
    #[inline]
    fn is_lost(&mut self) -> bool {
        Token::is_lost(self)
    }

    #[inline]
    fn is_sampled(&self) -> bool {
        self.number().is_multiple_of(SAMPLED.into())
    }

    fn watch(&mut self, cx: &Context<'_>) {
        Token::watch(self, cx.waker());
    }
}

/// A batch goes on as long as one of its leases holds: an effect cannot be half dropped.
impl LeaseHolder for &mut Vec<Token> {
    fn is_lost(&mut self) -> bool {
        self.iter_mut().all(Token::is_lost)
    }

    /// A batch is worth the readings, and counts like as many as are sampled.
    fn is_sampled(&self) -> bool {
        self.first().is_some_and(|token| token.number().is_multiple_of(SAMPLED.into()))
    }

    fn watch(&mut self, cx: &Context<'_>) {
        self.iter_mut().for_each(|token| token.watch(cx.waker()));
    }
}

impl<T> LeaseHolder for &mut Vec<Carried<T>> {
    fn is_lost(&mut self) -> bool {
        self.iter_mut().all(|carried| carried.token.is_lost())
    }

    fn is_sampled(&self) -> bool {
        false
    }

    fn watch(&mut self, cx: &Context<'_>) {
        self.iter_mut().for_each(|carried| carried.token.watch(cx.waker()));
    }
}
