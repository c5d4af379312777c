//! The classification of responses.

use crate::Verdict;

/// Decides whether a response is worth another attempt; every function of a response does.
pub trait Classify<Response> {
    /// Returns [`Verdict::Permanent`] for an answer to keep.
    fn classify(&self, response: &Response) -> Verdict;
}

impl<F: Fn(&Response) -> Verdict, Response> Classify<Response> for F {
    fn classify(&self, response: &Response) -> Verdict {
        self(response)
    }
}

/// Keeps every response as the answer.
#[derive(Clone, Copy, Debug)]
pub struct KeepAll;

impl<Response> Classify<Response> for KeepAll {
    fn classify(&self, _: &Response) -> Verdict {
        Verdict::Permanent
    }
}
