use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Verdict, rule::Checked};

/// Why an adapter cannot configure its implementation as asked.
///
/// # Examples
/// As in [`retry::Adapter`](crate::retry::Adapter).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// The implementation has no words for these settings, and which.
    NotExpressible(&'static str),
    /// The implementation looked at them and refused. A constructor that panics says the same.
    Refused(String),
}

/// For settings that every implementation should take.
impl From<Unfit> for Verdict {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::NotExpressible(what) => Self::NotExpressible(what.to_owned()),
            Unfit::Refused(why) => Self::fail("that it takes ordinary settings", format!("refused: {why}")),
        }
    }
}

/// For settings that make no sense: nothing if the implementation refuses them, which is all that can be asked.
pub(crate) fn unless_refused<T>(configure: impl FnOnce() -> Result<T, Unfit>) -> Checked<Option<T>> {
    // A constructor that panics refuses.
    match catch_unwind(AssertUnwindSafe(configure)) {
        Ok(Ok(configured)) => Ok(Some(configured)),
        Ok(Err(Unfit::NotExpressible(what))) => Err(Verdict::NotExpressible(what.to_owned())),
        Ok(Err(Unfit::Refused(_))) | Err(_) => Ok(None),
    }
}
