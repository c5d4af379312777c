//! Budgets: retries as a share of the calls.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;

use crate::{
    BudgetSnapshot, InvalidPolicy,
    bucket::{Bucket, UNIT},
};

/// A bound on retries as a share of all calls: when everything fails, retries add this share to the load and no more.
///
/// Without a budget, a policy of four attempts turns an outage into four times the load, just when the other side
/// can bear it least. Every call deposits a part of a token, every retry takes a whole one; without a token the retry is
/// not made, and the call gives up with [`GaveUp::Budget`](crate::GaveUp::Budget). The bucket also fills by time,
/// so that a client with few calls can retry at all, and holds at most its reserve.
///
/// So after `c` calls in `t` seconds there were at most `reserve + share * c + per_second * t` retries, whatever
/// happened. Clones share one bucket, and one budget may serve many policies: those of one service, say. Put it in a
/// `static`, or hand clones around: each use of a `const` would be a copy with a bucket of its own.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | share | none: it is the constructor's argument | tokens deposited by a call |
/// | [`per_second`](Self::per_second) | 1 | tokens that each second adds |
/// | [`reserve`](Self::reserve) | 10 | the maximum number of tokens, and the number at the start |
///
/// The scheme is that of Finagle's `RetryBudget`; the bucket counts in thousandths of a token, without a lock, and is
/// exact.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Backoff, Budget, Policy};
/// use std::io;
///
/// static POLICY: Policy = Policy::new(Backoff::none()).max_attempts(4).budget(Budget::percent(10).per_second(0));
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut calls = 0;
/// for _ in 0..1000 {
///     let down = POLICY.run(|| { calls += 1; async { Err::<(), _>(io::Error::other("down")) } });
///     down.await.unwrap_err();
/// }
/// assert!(calls <= 1000 + 100 + 10, "{calls}"); // without a budget: 4000
/// # }
/// ```
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(try_from = "crate::serde::BudgetData"))]
pub struct Budget {
    deposit: u64,
    per_second: u32,
    reserve: u64,
    // Made at first use, so that a budget can be part of a `static` and yet be shared by clones.
    shared: OnceLock<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    start: Instant,
    granted: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// Returns a budget of retries for this share of the calls, in percent; above 100 is allowed.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::new(percent as u64 * UNIT / 100)
    }

    /// Returns a budget of retries for this share of the calls, in thousandths; above 1000 is allowed.
    #[must_use]
    pub const fn permille(permille: u32) -> Self {
        Self::new(permille as u64 * UNIT / 1000)
    }

    const fn new(deposit: u64) -> Self {
        Self { deposit, per_second: 1, reserve: 10 * UNIT, shared: OnceLock::new() }
    }

    /// Sets the tokens that each second adds, without any call.
    #[must_use]
    pub const fn per_second(mut self, tokens: u32) -> Self {
        self.per_second = tokens;
        self
    }

    /// Sets the maximum number of tokens, which is also the number that the budget starts with.
    ///
    /// # Panics
    /// If it is zero; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn reserve(mut self, tokens: u32) -> Self {
        if tokens == 0 {
            panic!("{}", InvalidPolicy::Reserve.message());
        }
        self.reserve = tokens as u64 * UNIT;
        self
    }

    /// Like [`reserve`](Self::reserve), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: it is zero.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Budget, InvalidPolicy};
    /// assert_eq!(Budget::percent(10).try_reserve(0).unwrap_err(), InvalidPolicy::Reserve);
    /// ```
    pub fn try_reserve(self, tokens: u32) -> Result<Self, InvalidPolicy> {
        if tokens == 0 { Err(InvalidPolicy::Reserve) } else { Ok(self.reserve(tokens)) }
    }

    /// Returns the share in thousandths, the tokens per second, and the reserve.
    #[cfg(feature = "serde")]
    pub(crate) fn settings(&self) -> (u32, u32, u32) {
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        (narrow(self.deposit * 1000 / UNIT), self.per_second, narrow(self.reserve / UNIT))
    }

    /// Counts a call: adds its share of a token.
    pub fn deposit(&self) {
        self.shared().bucket.deposit(self.deposit, self.reserve);
    }

    /// Takes a token for a retry, or returns `None`; a permit that is dropped returns the token unless it was
    /// [spent](BudgetPermit::spend).
    #[must_use]
    pub fn try_withdraw(&self) -> Option<BudgetPermit> {
        let shared = self.shared();
        let taken = shared.bucket.try_take(shared.millis(), self.per_second, self.reserve);
        let count = if taken { &shared.granted } else { &shared.refused };
        count.fetch_add(1, Relaxed);
        taken.then(|| BudgetPermit { shared: shared.clone(), reserve: self.reserve })
    }

    /// Returns the retries that it would allow now, and the numbers that it has allowed and refused since its first use.
    #[must_use]
    pub fn snapshot(&self) -> BudgetSnapshot {
        let shared = self.shared();
        let held = shared.bucket.held(shared.millis(), self.per_second, self.reserve);
        BudgetSnapshot {
            available: u32::try_from(held / UNIT).unwrap_or(u32::MAX),
            granted: shared.granted.load(Relaxed),
            refused: shared.refused.load(Relaxed),
        }
    }

    /// Returns the address of the tokens, which clones share.
    #[cfg(feature = "inspect")]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(self.shared()).addr()
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.get_or_init(|| {
            let (bucket, start) = (Bucket::full(self.reserve), Instant::now());
            Arc::new(Shared { bucket, start, granted: AtomicU64::new(0), refused: AtomicU64::new(0) })
        })
    }
}

impl Shared {
    /// Returns the age of the budget in milliseconds.
    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Clone for Budget {
    /// Returns a handle to the same bucket.
    fn clone(&self) -> Self {
        let shared = OnceLock::from(self.shared().clone());
        Self { deposit: self.deposit, per_second: self.per_second, reserve: self.reserve, shared }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("share", &(self.deposit as f64 / UNIT as f64))
            .field("per_second", &self.per_second)
            .field("reserve", &(self.reserve / UNIT))
            .field("available", &self.snapshot().available)
            .finish()
    }
}

/// A token taken from a [`Budget`], returned on drop unless it was [spent](Self::spend).
///
/// # Examples
/// ```
/// use evenkeel_retry::Budget;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let budget = Budget::percent(10).reserve(1);
/// let permit = budget.try_withdraw().unwrap();
/// assert!(budget.try_withdraw().is_none());
/// drop(permit); // the retry was cancelled before it began
/// budget.try_withdraw().unwrap().spend();
/// assert_eq!(budget.snapshot().available, 0);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped goes back to the budget"]
pub struct BudgetPermit {
    shared: Arc<Shared>,
    reserve: u64,
}

impl BudgetPermit {
    /// Keeps the token: the retry begins.
    pub fn spend(mut self) {
        // No reserve: its drop deposits nothing.
        self.reserve = 0;
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        if self.reserve > 0 {
            self.shared.bucket.deposit(UNIT, self.reserve);
            self.shared.granted.fetch_sub(1, Relaxed);
        }
    }
}
