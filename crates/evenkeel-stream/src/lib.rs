#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod ext;
mod item_error;
mod paginate;
mod par_map;
pub mod prelude;
mod runner;
mod try_par_map;
mod window;

pub use batch::{Batch, Batches};
pub use ext::StreamExt;
pub use item_error::ItemError;
pub use paginate::{PageError, Paginate, Prefetch, paginate};
pub use par_map::ParMap;
pub use try_par_map::{Settled, TryParMap};
