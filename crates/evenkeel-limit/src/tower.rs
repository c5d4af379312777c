//! Limits as `tower` layers.
//!
//! ```
//! use evenkeel_limit::{
//!     ConcurrencyLimiter, Keyed, RateLimiter,
//!     tower::LimitLayer,
//! };
//! use std::{io, sync::Arc};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! struct Request {
//!     user: String,
//!     bytes: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let users = Arc::new(Keyed::<String>::per_second(100).burst(1000));
//! let at_once = Arc::new(ConcurrencyLimiter::new(64));
//! let mut service = ServiceBuilder::new()
//!     .layer(LimitLayer::keyed(users, |request: &Request| request.user.clone()).cost(|request: &Request| request.bytes).reject())
//!     .layer(LimitLayer::concurrency(at_once))
//!     .service_fn(async |request: Request| io::Result::Ok(request.bytes));
//!
//! let mut ask = async |user: &str, bytes| {
//!     let request = Request { user: user.to_owned(), bytes };
//!     service.ready().await.unwrap().call(request).await
//! };
//! assert_eq!(ask("ann", 800).await.unwrap(), 800);
//! assert_eq!(ask("ann", 800).await.unwrap_err().to_string(), "limit reached: try again in 6s");
//! assert_eq!(ask("bob", 800).await.unwrap(), 800);
//! # }
//! ```
//!
//! Above several limits the error is a [`LimitError`] of a [`LimitError`], which a classifier of a retry or a handler has to
//! spell out; `map_err(`[`LimitError::boxed`]`)` behind each of them makes it a `BoxError`.
//!
//! Clones of a layer, and the services it makes, share its limiter: make a layer once, and not for each connection. A
//! request waits for its turn in the future of its call, unless the layer [rejects](LimitLayer::reject); it is called
//! on the service that was ready for it.

mod error;
mod layer;
mod service;

pub use self::{
    error::LimitError,
    layer::LimitLayer,
    service::{Limited, LimitedCall},
};
