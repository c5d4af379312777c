//! The numbers of a budget.

/// The numbers of a [`Budget`](crate::Budget) so far, and its tokens now; returned by
/// [`Budget::snapshot`](crate::Budget::snapshot).
///
/// # Examples
/// ```
/// use evenkeel_retry::Budget;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let budget = Budget::percent(10).per_second(0).reserve(2);
/// budget.try_withdraw().unwrap().spend();
/// drop(budget.try_withdraw()); // it never began
/// let snapshot = budget.snapshot();
/// assert_eq!((snapshot.available, snapshot.granted, snapshot.refused), (1, 1, 0));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// The number of retries and second attempts that it would allow now.
    pub available: u32,
    /// The number that it has allowed, without permits that were returned because their attempt never began.
    pub granted: u64,
    /// The number that it has refused.
    pub refused: u64,
}
