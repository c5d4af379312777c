//! The methods, without a name that could clash: `use evenkeel_stream::prelude::*`.

pub use crate::StreamExt as _;
