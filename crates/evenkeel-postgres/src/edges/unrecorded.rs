//! Types without size, which record nothing.

use std::{panic::Location, time::Duration};

use crate::sql::effect::SqlEffect;

#[derive(Clone, Debug)]
pub(crate) struct DatabaseEdges;

#[derive(Debug)]
pub(crate) struct WaitEdge;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl DatabaseEdges {
    pub(crate) const fn connection(&self) -> ConnectionEdges {
        ConnectionEdges
    }

    pub(crate) const fn connecting(&self, _: Duration) -> WaitEdge {
        WaitEdge
    }

    pub(crate) const fn connect_failed(&self, _: &impl Sized) {}

    pub(crate) const fn connected(&self) {}

    pub(crate) const fn listener(&self, _: &'static Location<'static>) -> WaitEdge {
        WaitEdge
    }
}

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl WaitEdge {
    #[inline]
    pub(crate) const fn begin(&mut self, _: &'static str) {}

    #[inline]
    pub(crate) const fn end(&mut self) {}
}

#[derive(Debug)]
pub(crate) struct ConnectionEdges;

#[derive(Clone, Copy, Debug)]
pub(crate) struct StatementEdge;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl ConnectionEdges {
    #[inline]
    pub(crate) const fn begin_use(&mut self, _: &'static Location<'static>) {}

    #[inline]
    pub(crate) const fn end_use(&self) {}

    pub(crate) const fn recycling(&self, _: &'static str, _: Duration) -> WaitEdge {
        WaitEdge
    }

    #[inline]
    pub(crate) const fn begin_tx(&self) {}

    #[inline]
    pub(crate) const fn end_tx(&self) {}

    #[inline]
    pub(crate) const fn begin_statement(&self, _: SqlEffect, _: &str) -> StatementEdge {
        StatementEdge
    }

    #[inline]
    pub(crate) const fn begin_prepare(&self, _: &str) -> StatementEdge {
        StatementEdge
    }

    #[inline]
    pub(crate) const fn begin_control(&self, _: &str) -> StatementEdge {
        StatementEdge
    }

    #[inline]
    pub(crate) const fn answered(&self, _: StatementEdge) {}

    #[inline]
    pub(crate) const fn abandoned(&self, _: StatementEdge) {}
}
