//! The calls per second that the API grants: to this process, or to all processes that share a quota.

use std::num::NonZeroU32;

use evenkeel::limit::{Rate, RateLimiter};
#[cfg(feature = "queue")]
pub(crate) use shared::SharedQuota;

/// The limit of the calls per second.
#[derive(Debug)]
pub struct Quota(Kind);

#[derive(Debug)]
enum Kind {
    /// Of this process.
    Own(RateLimiter),
    /// Of all processes with this quota.
    #[cfg(feature = "queue")]
    Shared(SharedQuota),
}

impl Quota {
    /// The quota of this process, if it has one.
    #[must_use]
    pub fn own(rate: Option<NonZeroU32>) -> Self {
        let limited = |rate: NonZeroU32| {
            RateLimiter::new(Rate::per_second(rate.get())).burst(1).named("calls per second")
        };
        Self(Kind::Own(rate.map_or_else(RateLimiter::unlimited, limited)))
    }

    #[cfg(feature = "queue")]
    pub(crate) const fn shared(quota: SharedQuota) -> Self {
        Self(Kind::Shared(quota))
    }

    /// Waits for a call.
    pub(crate) async fn acquire(&self) {
        match &self.0 {
            Kind::Own(limiter) => limiter.acquire().await,
            #[cfg(feature = "queue")]
            Kind::Shared(quota) => quota.acquire().await,
        }
    }
}

#[cfg(feature = "queue")]
mod shared {
    use std::{
        num::NonZeroU32,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        time::Duration,
    };

    use evenkeel::limit::{
        Rate,
        distributed::{Distributed, Error, OnFailure, RedisStore},
    };
    use reqwest::Url;
    use tokio::time::sleep;

    use crate::{error::Fatal, link, out};

    /// The part of a second that may be used at once. The wait for a call takes a millisecond or two more than it should,
    /// and so does the call of the server that counts: what is earned meanwhile must find room.
    const BURST: u32 = 20;

    /// One quota in a Redis server, for all processes that read the same API.
    ///
    /// Without the server no call is made: a quota is not exceeded in an outage, and a call waits as it does for a permit.
    #[derive(Debug)]
    pub(crate) struct SharedQuota {
        quota: Distributed,
        is_out: AtomicBool,
    }

    impl SharedQuota {
        /// Opens the quota for this API on the server, and looks whether the server answers.
        pub(crate) async fn open(server: &Url, api: &Url, rate: NonZeroU32) -> Result<Self, Fatal> {
            let unusable = |reason: String| {
                Fatal::Input(format!("cannot use the quota {}: {reason}", link::without_password(server)))
            };
            let client = redis::Client::open(server.as_str()).map_err(|error| unusable(error.to_string()))?;
            let host = api.host_str().unwrap_or_default();
            let key = format!("limit:harvest:{host}:{}", api.port_or_known_default().unwrap_or_default());
            let quota = Distributed::new(RedisStore::new(client), key, Rate::per_second(rate.get()))
                .burst((rate.get() / BURST).max(1))
                .named("calls per second of all")
                .timeout(Duration::from_millis(500))
                .on_failure(OnFailure::Closed);
            // It costs a call of the quota: a permit that is kept for later, or goes back later, would be used beside the burst
            // that the bucket has earned meanwhile.
            match quota.try_acquire().await {
                // Or others use all of it.
                Ok(()) | Err(Error::Denied(_)) => {}
                Err(Error::Unavailable { cause, .. } | Error::Misconfigured { cause, .. }) => {
                    return Err(unusable(cause.to_string()));
                }
                Err(other) => return Err(unusable(other.to_string())),
            }
            Ok(Self { quota, is_out: AtomicBool::new(false) })
        }

        pub(super) async fn acquire(&self) {
            while let Err(error) = self.quota.acquire().await {
                if !self.is_out.swap(true, Relaxed) {
                    out::tell(&format!("no call is made: {error}"));
                }
                sleep(error.retry_after().unwrap_or(Duration::from_millis(50))).await;
            }
            if self.is_out.load(Relaxed) && self.is_out.swap(false, Relaxed) {
                out::tell("the quota answers again");
            }
        }
    }
}
