//! The error of an adapter that cannot configure its implementation.

use crate::Verdict;

/// Why an adapter cannot configure its implementation as asked.
///
/// # Examples
/// As in [`retry::Adapter`](crate::retry::Adapter).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterError {
    /// The implementation cannot express these settings; the text names them.
    NotExpressible(&'static str),
    /// The implementation rejected the settings. A constructor that panics counts as this, too.
    Refused(String),
}

/// The verdict for settings that every implementation should accept.
impl From<AdapterError> for Verdict {
    fn from(error: AdapterError) -> Self {
        match error {
            AdapterError::NotExpressible(what) => Self::NotExpressible(what.to_owned()),
            AdapterError::Refused(why) => {
                Self::fail("that it takes ordinary settings", format!("refused: {why}"))
            }
        }
    }
}
