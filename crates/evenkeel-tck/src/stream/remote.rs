//! The parts at the ends of an operator, where their scripts are in another process.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::Item;
use crate::{BoxFuture, probe_task::ReportedFailure};

/// The steps of an item of which the other process is told.
pub(crate) trait RemoteItem: Send + Sync {
    /// Its number in the protocol.
    fn id(&self) -> u64;

    /// The call of its work has begun, and is to panic.
    fn begins(&self);

    /// Its work, which begins with the first poll.
    fn work(&self) -> BoxFuture<'static, Result<u32, ReportedFailure>>;

    /// Its key was asked for: returns what is dropped with the key.
    fn keyed(&self) -> Arc<dyn Send + Sync>;

    fn dropped(&self);
}

/// A source; dropping it is told.
pub(crate) trait RemoteSource: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, ReportedFailure>>>;
}

pub(crate) trait RemoteConsumer: Send + Sync {
    fn take(&self, result: Result<u32, ReportedFailure>) -> BoxFuture<'static, Result<(), ReportedFailure>>;
}

pub(crate) type PageOf = Result<(Vec<Item>, Option<u32>), ReportedFailure>;

pub(crate) trait RemoteFetch: Send + Sync {
    fn page(&self, cursor: u32) -> BoxFuture<'static, PageOf>;
}
