//! An operation that a kit cuts at each of its awaits.

use std::{fmt, rc::Rc};

use super::LocalFuture;

/// An operation to be cut, with a state that is made anew for each run, and a check that panics where a cut has broken it.
///
/// # Examples
/// As an adapter hands it to evenkeel-testkit:
/// ```
/// use evenkeel_tck::testkit::Cutting;
///
/// fn cut(operation: Cutting) {
///     evenkeel_testkit::cancel::every_point(
///         async || operation.setup(),
///         |state| state.operation(),
///         |state| state.check(),
///     );
/// }
/// ```
#[derive(Clone)]
pub struct Cutting(Rc<dyn Fn() -> CutState>);

/// The state of one run.
#[derive(Clone)]
pub struct CutState {
    operation: Rc<dyn Fn() -> LocalFuture>,
    check: Rc<dyn Fn()>,
}

impl Cutting {
    /// An operation on a state that `setup` makes.
    pub(crate) fn new<S: 'static, Fut: Future<Output = ()> + 'static>(
        setup: impl Fn() -> Rc<S> + 'static,
        operation: impl Fn(Rc<S>) -> Fut + Clone + 'static,
        check: impl Fn(&S) + Clone + 'static,
    ) -> Self {
        Self(Rc::new(move || {
            let state = setup();
            let (checked, operation, check) = (state.clone(), operation.clone(), check.clone());
            CutState {
                operation: Rc::new(move || Box::pin(operation(state.clone()))),
                check: Rc::new(move || check(&checked)),
            }
        }))
    }

    /// Makes the state of a run, in its runtime.
    #[must_use]
    pub fn setup(&self) -> CutState {
        (self.0)()
    }
}

impl CutState {
    /// The operation, not yet polled. It is not `Send`.
    #[must_use]
    pub fn operation(&self) -> LocalFuture {
        (self.operation)()
    }

    /// Checks the state; the future panics if a cut has broken it.
    #[must_use]
    pub fn check(&self) -> LocalFuture {
        let check = self.check.clone();
        Box::pin(async move { check() })
    }
}

impl fmt::Debug for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutting").finish_non_exhaustive()
    }
}

impl fmt::Debug for CutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutState").finish_non_exhaustive()
    }
}
