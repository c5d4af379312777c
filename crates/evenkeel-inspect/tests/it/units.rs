//! Pools of objects that cost nothing, objects of a test's own, and a look at the runtime of the test.

use std::{convert::Infallible, future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use evenkeel_inspect::{Dump, Inspect, Inspected, InspectedResource, Registration, dump_of, register};
use evenkeel_pool::{Manager, Pool};
use futures_core::Stream;
use tokio::{runtime::Handle, time::Instant};

pub(crate) struct Units;

impl Manager for Units {
    type Object = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(0)
    }
}

/// A pool of that many objects, whose callers wait for as long as a test lasts.
pub(crate) fn pool(name: &'static str, max: usize) -> Pool<Units> {
    Pool::builder(Units).max(max).named(name).acquire_timeout(secs(1_000_000)).build().expect("room")
}

/// An object that describes itself by a function.
pub(crate) struct Object<F> {
    describe: F,
    _registration: Registration,
}

impl<F: Fn() -> Option<Inspected> + Send + Sync + 'static> Inspect for Object<F> {
    fn inspect(&self, _: Instant) -> Option<Inspected> {
        (self.describe)()
    }
}

pub(crate) fn object<F: Fn() -> Option<Inspected> + Send + Sync + 'static>(describe: F) -> Arc<Object<F>> {
    Arc::new_cyclic(|object| Object { describe, _registration: register(object.clone()) })
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns the number of the line with this mark, a comment at its end.
pub(crate) fn line_of(source: &str, mark: &str) -> u32 {
    let mark = format!("// {mark}");
    let found: Vec<_> = source.lines().zip(1..).filter(|(line, _)| line.ends_with(&mark)).collect();
    assert_eq!(found.len(), 1, "{mark}");
    found[0].1
}

/// The dump of this test alone.
pub(crate) fn look() -> Dump {
    dump_of(Handle::current().id())
}

/// The only resource with this title.
pub(crate) fn titled(dump: &Dump, title: &str) -> InspectedResource {
    let found: Vec<_> = dump.resources.iter().filter(|resource| resource.to_string() == title).collect();
    assert_eq!(found.len(), 1, "{title} in {dump}");
    found[0].clone()
}

/// The only resource of this kind.
pub(crate) fn of_kind(dump: &Dump, kind: &str) -> InspectedResource {
    let found: Vec<_> = dump.resources.iter().filter(|resource| resource.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind} in {dump}");
    found[0].clone()
}

pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}
