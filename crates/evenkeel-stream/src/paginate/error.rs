//! The error of a paginated source.

use std::{error::Error, fmt};

use evenkeel_task::BoxError;

/// The reason why the pages of [`paginate`](crate::paginate()) ended before the last one.
///
/// Pages are counted from 1. It is not generic, so that it takes any error that `fetch` returns, `anyhow::Error` and
/// boxed errors included, and one `From<PageError>` is enough for an error type of yours.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{PageError, paginate};
/// use futures::TryStreamExt as _;
/// use std::io;
///
/// let pages = paginate(1, async |page: u32| match page {
///     3 => Err(io::Error::other("gone")),
///     _ => Ok((vec![page], Some(page + 1))),
/// });
/// let error = pages.try_collect::<Vec<_>>().await.unwrap_err();
/// assert_eq!(error.to_string(), "page 3 could not be fetched");
///
/// let PageError::Fetch { source, .. } = error else { panic!() };
/// let error: Box<io::Error> = source.downcast().unwrap();
/// assert_eq!(error.to_string(), "gone");
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PageError {
    /// The fetch failed.
    #[non_exhaustive]
    Fetch {
        /// The page that was fetched.
        page: u64,
        /// The error of the fetch.
        source: BoxError,
    },
    /// The next cursor of a page was used before: going on would never end.
    #[non_exhaustive]
    Loop {
        /// The page that leads back.
        page: u64,
    },
    /// More pages were there than [`max_pages`](crate::Paginate::max_pages) allows.
    #[non_exhaustive]
    MaxPages {
        /// The last page that was fetched.
        page: u64,
    },
    /// A page of [`paginate_offset`](crate::paginate_offset) had fewer items than asked for, and was not the last one: the
    /// source returns smaller pages, so items between them were not read.
    #[non_exhaustive]
    Short {
        /// The page.
        page: u64,
    },
    /// A page of [`paginate_offset`](crate::paginate_offset) had more items than asked for, and was not the last one: its
    /// last items would come again with the next page.
    #[non_exhaustive]
    Long {
        /// The page.
        page: u64,
    },
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { page, .. } => write!(f, "page {page} could not be fetched"),
            Self::Loop { page } => write!(f, "page {page} leads back to a page that was fetched before"),
            Self::MaxPages { page } => write!(f, "page {page} is not the last one, and no more are fetched"),
            Self::Short { page } => {
                write!(f, "page {page} has fewer items than asked for, and more pages follow")
            }
            Self::Long { page } => {
                write!(f, "page {page} has more items than asked for, and more pages follow")
            }
        }
    }
}

impl Error for PageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Fetch { source, .. } => Some(source.as_ref()),
            Self::Loop { .. } | Self::MaxPages { .. } | Self::Short { .. } | Self::Long { .. } => None,
        }
    }
}
