//! The trait of the half of a source that settles deliveries.

use std::{fmt, time::Duration};

use crate::SourceError;

/// The half of a source that settles deliveries and extends their leases, in bulk.
///
/// One task of the pipeline settles, and one extends; both do so beside a pull. Clones speak for the same source.
pub trait Ack: Clone + Send + Sync + 'static {
    /// The handle of a delivery.
    ///
    /// Its `Display` is the identity of the item, the same at each delivery, and another one for each item of all sources whose
    /// items may meet in one sink: it is the idempotency key of what sinks write,
    /// and the origin of a dead letter. The number of the attempt is a part of the receipt where the server has to refuse a
    /// late one, and never of its `Display`.
    ///
    /// It is `Copy`, since a pipeline copies it under its lock, where no code of others runs. A source whose handles are
    /// texts keeps them itself, under numbers.
    type Receipt: Copy + fmt::Display + Send + Sync + 'static;

    /// Returns the time after which the server delivers an item again that is neither settled nor extended; `None`, the
    /// default, if it never does.
    ///
    /// The pipeline extends at each third of it.
    fn ack_wait(&self) -> Option<Duration> {
        None
    }

    /// Returns the time for which fewer than [`MAX_SETTLED`] decisions may wait for more, so that a call costs little for
    /// each: 0 by default, as those that fall while a call is on the wire go together anyway.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns whether the server refuses each settlement of a delivery that it has given to another attempt, and gives away no
    /// delivery of a process that answers again in time: `false` by default, for servers whose leases run out one by one.
    ///
    /// If so, a lease that ran out on our clock, as while the server was away, may still hold there. So the outcome of work
    /// that was finished is told late, and work that was dropped is handed back as a failed attempt: nobody else would.
    fn is_fenced(&self) -> bool {
        false
    }

    /// Tells the server what became of at most [`MAX_SETTLED`] deliveries, and returns its answer for each, in the same order.
    ///
    /// Each call has a time limit of its own against a server that does not answer: the pipeline waits for it, and stops to pull
    /// when too many decisions wait. After 30 seconds without an answer it tells an error that passes, drops the call, and
    /// settles the same batch once more.
    ///
    /// # Errors
    ///
    /// As for [`pull`](crate::Source::pull): a transient one says that the outcome is not known, and the same batch is
    /// settled once more. So an implementation makes no difference between the first and a second time.
    ///
    /// # Cancel safety
    ///
    /// Implementations may have settled any part of the batch when it is dropped.
    fn settle(
        &self,
        batch: &[(Self::Receipt, Settle)],
    ) -> impl Future<Output = Result<Vec<SettleOutcome>, SourceError>> + Send;

    /// Extends the leases of all deliveries in hand by a whole [`ack_wait`](Ack::ack_wait) from now on; returns the indices of
    /// those whose lease is lost.
    ///
    /// It is called at each third of the ack wait, with no deliveries if none is in hand: a source that holds some which nobody
    /// has pulled extends them as well. A call that the server did not confirm is an error. It has nothing to extend by
    /// default.
    ///
    /// # Errors
    ///
    /// As for [`pull`](crate::Source::pull). The leases run on from their last extension.
    ///
    /// # Cancel safety
    ///
    /// Implementations may have extended any part of the leases when it is dropped.
    fn extend(
        &self,
        receipts: &[Self::Receipt],
    ) -> impl Future<Output = Result<Vec<usize>, SourceError>> + Send {
        let _ = receipts;
        std::future::ready(Ok(Vec::new()))
    }
}

/// The most deliveries that one call [settles](Ack::settle).
pub const MAX_SETTLED: usize = 5000;

/// A decision about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// It is done, and never delivered again.
    Ack,
    /// It has failed: the server counts the attempt, and delivers it again after the delay.
    Retry {
        /// The delay.
        after: Duration,
    },
    /// It is handed back as if it had not been delivered: no attempt is counted, and it is delivered again at once.
    Release,
    /// Its dead letter is written: it is never delivered again.
    Term,
}

/// The answer of the server to a [decision](Settle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleOutcome {
    /// The server has carried it out.
    Confirmed,
    /// The lease had been lost: another attempt has begun, and decides.
    Superseded,
}
