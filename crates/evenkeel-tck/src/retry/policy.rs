//! A configured implementation of retry.

use std::{fmt, pin::Pin, sync::Arc};

use super::{Operation, Outcome};

/// The implementation's own future, which need not be `Send`: no rule moves it to another thread.
pub(crate) type Call = Pin<Box<dyn Future<Output = Outcome>>>;

/// A configured implementation of retry, which can be called many times.
#[derive(Clone)]
pub struct Policy(Arc<dyn Fn(Operation) -> Call + Send + Sync>);

impl Policy {
    /// A policy that retries operations with `call`, which returns the implementation's own future, not yet polled. The
    /// future need not be `Send`.
    ///
    /// # Examples
    /// An implementation that tries twice, and counts its attempts where no other thread sees them:
    /// ```
    /// use evenkeel_tck::retry::{Operation, Policy};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let twice = Policy::new(|operation: Operation| async move {
    ///     let failures = Rc::new(Cell::new(0));
    ///     loop {
    ///         match operation.call().await {
    ///             Err(_) if failures.replace(failures.get() + 1) == 0 => {}
    ///             outcome => break outcome,
    ///         }
    ///     }
    /// });
    /// # drop(twice);
    /// ```
    pub fn new<F, Fut>(call: F) -> Self
    where
        F: Fn(Operation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Outcome>> + 'static,
    {
        Self(Arc::new(move |operation| {
            let outcome = call(operation);
            Box::pin(async move { outcome.await.into() })
        }))
    }

    pub(crate) fn call(&self, operation: Operation) -> Call {
        (self.0)(operation)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").finish_non_exhaustive()
    }
}
