/// What a [`Budget`](crate::Budget) has done, and what it can do now; given by
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
    /// Retries and second attempts that it would allow now.
    pub available: u32,
    /// Those that it has allowed, without those that were given back because they never began.
    pub granted: u64,
    /// Those that it has not allowed.
    pub refused: u64,
}
