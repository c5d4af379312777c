//! `InFlightCall`: a call from its arrival to the end of its reply, which is counted, and drawn in the timeline of the world.

use std::sync::Arc;

use hyper::{Method, Uri};

use super::reply::Reply;
#[cfg(feature = "timeline")]
use super::reply::{Fault, Sent};

/// Its clones are counted.
#[derive(Debug, Default)]
pub(super) struct InFlight;

/// A call in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightCall {
    _counted: Arc<InFlight>,
    #[cfg(feature = "timeline")]
    span: crate::timeline::Span,
}

impl InFlightCall {
    #[cfg_attr(not(feature = "timeline"), expect(unused_variables, reason = "for the timeline alone"))]
    pub(super) fn new(counted: Arc<InFlight>, server: &str, method: &Method, uri: &Uri) -> Self {
        Self {
            _counted: counted,
            #[cfg(feature = "timeline")]
            span: {
                let mut span = crate::timeline::span_on(server, format!("{method} {uri}"));
                // Unless there is a reply.
                span.set_outcome("the client has left".into(), false);
                span
            },
        }
    }

    /// Notes the reply, which is yet to be sent.
    #[cfg(feature = "timeline")]
    pub(super) fn set_reply(&mut self, reply: &Reply) {
        let status = reply.status.as_u16();
        let (outcome, is_fault) = match &reply.fault {
            None => (status.to_string(), status >= 500),
            Some(Fault { sent: Sent::Raw(b""), reset: true }) => ("connection reset".to_owned(), true),
            Some(Fault { sent: Sent::Raw(b""), reset: false }) => ("connection closed".to_owned(), true),
            Some(Fault { sent: Sent::Raw(_), .. }) => ("not HTTP".to_owned(), true),
            Some(Fault { sent: Sent::Part(bytes), reset }) => {
                let how = if *reset { "reset" } else { "closed" };
                (format!("{status}, {how} after {bytes} bytes"), true)
            }
        };
        self.span.set_outcome(outcome.into(), is_fault);
    }

    #[cfg(not(feature = "timeline"))]
    #[expect(clippy::unused_self, reason = "for the timeline alone")]
    pub(super) fn set_reply(&mut self, _reply: &Reply) {}
}
