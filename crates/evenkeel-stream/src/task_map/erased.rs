//! One type of map for all sources and functions of the same values, where debug assertions are on.
//!
//! A map is compiled once more for each source and for each function, which is most of the time of an unoptimised build of a
//! program, or of tests, with many of them.

use std::pin::Pin;

use futures_core::Stream;

/// A source without its type.
pub(super) type AnySource<I> = Pin<Box<dyn Stream<Item = I> + Send>>;

type AnyFuture<R> = Pin<Box<dyn Future<Output = R> + Send>>;

trait Work<V, R>: Send {
    fn to_box(&self) -> Box<dyn Work<V, R>>;
    fn call(self: Box<Self>, value: V) -> AnyFuture<R>;
}

impl<V, R, F, Fut> Work<V, R> for F
where
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    fn to_box(&self) -> Box<dyn Work<V, R>> {
        Box::new(self.clone())
    }

    fn call(self: Box<Self>, value: V) -> AnyFuture<R> {
        Box::pin(self(value))
    }
}

struct AnyWork<V, R>(Box<dyn Work<V, R>>);

impl<V, R> AnyWork<V, R> {
    fn call(self, value: V) -> AnyFuture<R> {
        self.0.call(value)
    }
}

impl<V, R> Clone for AnyWork<V, R> {
    fn clone(&self) -> Self {
        Self(self.0.to_box())
    }
}

/// Returns the function of a map without its type.
pub(super) fn any_work<V, R, F, Fut>(
    work: F,
) -> impl FnOnce(V) -> AnyFuture<R> + Clone + Send + 'static + use<V, R, F, Fut>
where
    V: 'static,
    R: 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    function(AnyWork(Box::new(work)))
}

fn function<V: 'static, R: 'static>(
    work: AnyWork<V, R>,
) -> impl FnOnce(V) -> AnyFuture<R> + Clone + Send + 'static {
    move |value| work.call(value)
}
