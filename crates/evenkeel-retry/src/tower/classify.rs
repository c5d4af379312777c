use crate::Verdict;

/// Says whether a response is worth another attempt; every function of a response is one.
pub trait Judge<Response> {
    /// [`Verdict::Permanent`] is an answer to keep.
    fn verdict(&self, response: &Response) -> Verdict;
}

impl<F: Fn(&Response) -> Verdict, Response> Judge<Response> for F {
    fn verdict(&self, response: &Response) -> Verdict {
        self(response)
    }
}

/// Every response is an answer to keep.
#[derive(Clone, Copy, Debug)]
pub struct KeepAll;

impl<Response> Judge<Response> for KeepAll {
    fn verdict(&self, _: &Response) -> Verdict {
        Verdict::Permanent
    }
}
