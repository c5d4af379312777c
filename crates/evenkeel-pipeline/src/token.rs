//! A part of an item on its way through the stages, and the leases that its work needs.

use std::{
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
    attempt: u32,
    /// The losses that were looked at.
    losses: u64,
    end: PartEnd,
    /// The indices of the part, within the item that was split; none for a whole item.
    part: Option<Box<str>>,
}

/// An item, or a part of one, with its token.
#[derive(Debug)]
pub struct Carried<T> {
    pub(crate) token: Token,
    pub(crate) item: T,
}

impl Token {
    pub(crate) fn new(in_hand: &Arc<InHand>, key: ItemKey, attempt: u32, losses: u64) -> Self {
        let in_hand = Arc::clone(in_hand);
        Self { in_hand, key, attempt, losses, end: PartEnd::Dropped, part: None }
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
        if let Some(part) = &self.part {
            id.push_str(part);
        }
        id
    }

    /// Notes that the part is done; the drop of the token tells it.
    pub(crate) fn set_done(&mut self) {
        self.end = PartEnd::Done;
    }

    /// Notes that the part has failed; the drop of the token tells it.
    pub(crate) fn fail(&mut self, reason: String, retry_after: Duration) {
        self.end = PartEnd::Failed(Box::new((reason, retry_after)));
    }

    /// Returns whether its lease is lost, so that its work is of no more use.
    pub(crate) fn is_lost(&mut self) -> bool {
        let losses = self.in_hand.losses();
        if losses == self.losses {
            return false;
        }
        self.losses = losses;
        self.in_hand.is_lost(self.key)
    }

    /// Lets the loss of its lease wake a worker.
    pub(crate) fn watch(&self, waker: &Waker) {
        if self.in_hand.ack_wait.is_some() {
            self.in_hand.watch(self.key, waker.clone());
        }
    }

    /// Splits the part; without items it is done.
    pub(crate) fn split<T>(mut self, items: Vec<T>) -> Vec<Carried<T>> {
        self.set_done();
        // One more than there are, this one, so that the first part that ends is not taken for the last.
        self.in_hand.split(self.key, items.len());
        let carry = |(index, item)| {
            let mut token = Self::new(&self.in_hand, self.key, self.attempt, self.losses);
            let part = self.part.as_deref().unwrap_or_default();
            token.part = Some(format!("{part}/{index}").into());
            Carried { token, item }
        };
        items.into_iter().enumerate().map(carry).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("key", &self.key).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let mut end = mem::replace(&mut self.end, PartEnd::Dropped);
        if matches!(end, PartEnd::Dropped) && thread::panicking() {
            let reason = "it was dropped by a panic before it ended".to_owned();
            end = PartEnd::Failed(Box::new((reason, default_backoff(self.attempt))));
        }
        self.in_hand.end_part(self.key, end);
    }
}

/// The leases under which a function runs.
pub(crate) trait LeaseHolder {
    fn is_lost(&mut self) -> bool;
    fn is_sampled(&self) -> bool;
    fn watch(&self, cx: &Context<'_>);
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

    fn watch(&self, cx: &Context<'_>) {
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

    fn watch(&self, cx: &Context<'_>) {
        self.iter().for_each(|token| token.watch(cx.waker()));
    }
}

impl<T> LeaseHolder for &mut Vec<Carried<T>> {
    fn is_lost(&mut self) -> bool {
        self.iter_mut().all(|carried| carried.token.is_lost())
    }

    fn is_sampled(&self) -> bool {
        false
    }

    fn watch(&self, cx: &Context<'_>) {
        self.iter().for_each(|carried| carried.token.watch(cx.waker()));
    }
}
