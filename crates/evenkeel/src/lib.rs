#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "inspect")]
#[doc(inline)]
pub use evenkeel_inspect as inspect;
#[cfg(feature = "limit")]
#[doc(inline)]
pub use evenkeel_limit as limit;
#[cfg(feature = "pipeline")]
#[doc(inline)]
pub use evenkeel_pipeline as pipeline;
#[cfg(feature = "pool")]
#[doc(inline)]
pub use evenkeel_pool as pool;
#[cfg(feature = "postgres")]
#[doc(inline)]
pub use evenkeel_postgres as postgres;
#[cfg(feature = "retry")]
#[doc(inline)]
pub use evenkeel_retry as retry;
#[cfg(feature = "shutdown")]
#[doc(inline)]
pub use evenkeel_shutdown as shutdown;
#[cfg(feature = "stream")]
#[doc(inline)]
pub use evenkeel_stream as stream;
#[cfg(feature = "task")]
#[doc(inline)]
pub use evenkeel_task as task;
