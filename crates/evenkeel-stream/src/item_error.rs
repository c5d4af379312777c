//! The error of one item.

use std::{error::Error, fmt};

use evenkeel_task::Panic;

/// The reason why an item of a [settled](crate::TryParMap::settled) map has no result.
///
/// The error or the panic is its `source()`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{ItemError, prelude::*};
/// use futures::StreamExt as _;
///
/// let words = futures::stream::iter(["7", "x", ""]).map(Ok::<_, std::num::ParseIntError>);
/// let outcomes = words.try_par_map(4, async |word: &str| {
///     assert!(!word.is_empty(), "no word");
///     word.parse::<u8>()
/// });
/// let outcomes: Vec<_> = outcomes.ordered().settled().collect().await;
///
/// assert_eq!(*outcomes[0].as_ref().unwrap(), 7);
/// assert!(matches!(&outcomes[1], Err(ItemError::Error(error)) if error.to_string() == "invalid digit found in string"));
/// assert!(matches!(&outcomes[2], Err(ItemError::Panic(panic)) if panic.message() == Some("no word")));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ItemError<E> {
    /// The source or the function returned this error.
    Error(E),
    /// The function panicked.
    Panic(Panic),
}

impl<E> fmt::Display for ItemError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error(_) => "the item failed",
            Self::Panic(_) => "the item panicked",
        })
    }
}

impl<E: Error + 'static> Error for ItemError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => Some(error),
            Self::Panic(panic) => Some(panic),
        }
    }
}
