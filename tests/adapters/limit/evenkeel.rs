//! Ours.

use std::sync::Arc;

use evenkeel::limit::{
    ConcurrencyLimiter, Denied as Refusal, Keyed, Rate as Speed, RateLimiter, Reason, try_all_of,
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Change, Denied, Limit, Limiter, Permit, Rate, Request, Settings, Settle},
};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-limit",
    docs: "https://docs.rs/evenkeel-limit",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let waiters = settings.max_waiters.unwrap_or(usize::MAX);
        if let (Limit::Bucket { rate, burst }, Some(Limit::Bucket { rate: other, burst: others })) =
            (settings.limit, settings.also)
        {
            let limiters =
                [RateLimiter::new(speed(rate)).burst(burst), RateLimiter::new(speed(other)).burst(others)];
            return Ok(Box::new(Both(limiters)));
        }
        Ok(Box::new(match settings.limit {
            Limit::Bucket { rate, burst } if settings.keyed => {
                let keyed = Keyed::new(speed(rate)).burst(burst);
                Ours::Keys(Arc::new(match settings.max_keys {
                    Some(keys) => keyed.max_keys(keys),
                    None => keyed,
                }))
            }
            Limit::Bucket { rate, burst } => {
                let limiter = RateLimiter::new(speed(rate)).burst(burst).max_waiters(waiters);
                Ours::Rate(Arc::new(if settings.starts_empty { limiter.start_empty() } else { limiter }))
            }
            Limit::Sliding(rate) => {
                Ours::Rate(Arc::new(RateLimiter::sliding(speed(rate)).max_waiters(waiters)))
            }
            Limit::Concurrency(limit) => {
                Ours::Slots(Arc::new(ConcurrencyLimiter::new(limit).max_waiters(waiters)))
            }
            _ => return Err(AdapterError::NotExpressible("a limit of another kind")),
        }))
    }
}

fn speed(rate: Rate) -> Speed {
    Speed::per(rate.permits, rate.per)
}

enum Ours {
    Rate(Arc<RateLimiter>),
    Keys(Arc<Keyed<u32>>),
    Slots(Arc<ConcurrencyLimiter>),
}

impl Limiter for Ours {
    fn try_acquire(&self, Request { permits, key, .. }: Request) -> Result<Permit, Denied> {
        match self {
            Self::Rate(limiter) => limiter.try_acquire_many(permits).map(Permit::new),
            Self::Keys(keyed) => keyed.try_acquire_many(&key.unwrap_or_default(), permits).map(Permit::new),
            Self::Slots(limiter) => limiter.try_acquire_owned(permits).map(Permit::new),
        }
        .map_err(denied)
    }

    fn acquire(
        &self,
        Request { permits, key, deadline, .. }: Request,
    ) -> BoxFuture<'static, Result<Permit, Denied>> {
        match self {
            Self::Rate(limiter) => {
                let limiter = limiter.clone();
                Box::pin(async move {
                    let turn = limiter.acquire_many(permits);
                    let turn = match deadline {
                        Some(deadline) => turn.by(deadline),
                        None => turn,
                    };
                    turn.await.map(Permit::new).map_err(denied)
                })
            }
            Self::Keys(keyed) => {
                let keyed = keyed.clone();
                Box::pin(async move {
                    let turn = keyed.acquire_many(&key.unwrap_or_default(), permits).await;
                    turn.map(Permit::new).map_err(denied)
                })
            }
            Self::Slots(limiter) => {
                let turn = limiter.acquire_owned(permits);
                Box::pin(async move { turn.await.map(Permit::new).map_err(denied) })
            }
        }
    }

    fn reserve(&self, permits: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        let Self::Rate(limiter) = self else { unreachable!("rates alone have reservations") };
        Box::pin(async move {
            let reservation = limiter.reserve(permits).await.map_err(denied)?;
            Ok(Box::new(move |used| reservation.settle(used)) as Settle<'_>)
        })
    }

    fn change(&self, change: Change) {
        match (self, change) {
            (Self::Rate(limiter), Change::Rate(rate)) => limiter.set_rate(speed(rate)),
            (Self::Rate(limiter), Change::Burst(burst)) => limiter.set_burst(burst),
            (Self::Rate(limiter), Change::Refund(permits)) => limiter.refund(permits),
            (Self::Rate(limiter), Change::Penalty(time)) => limiter.penalize(time),
            (Self::Rate(limiter), Change::Close) => limiter.close(),
            (Self::Keys(keyed), Change::Rate(rate)) => keyed.set_rate(speed(rate)),
            (Self::Slots(limiter), Change::Limit(limit)) => limiter.set_limit(limit),
            (Self::Slots(limiter), Change::Close) => limiter.close(),
            _ => unreachable!("it has no words for {change:?}"),
        }
    }

    fn keys(&self) -> usize {
        match self {
            Self::Keys(keyed) => keyed.len(),
            Self::Rate(_) | Self::Slots(_) => 0,
        }
    }
}

/// Two limits at once.
struct Both([RateLimiter; 2]);

impl Limiter for Both {
    fn try_acquire(&self, Request { permits, .. }: Request) -> Result<Permit, Denied> {
        let held = try_all_of(self.0.iter().map(|limiter| limiter.demand(permits)));
        // Permits of a rate stay spent.
        held.map(|_| Permit::new(())).map_err(denied)
    }
}

fn denied(refusal: Refusal) -> Denied {
    match refusal.reason {
        Reason::NeverFits => Denied::NeverFits,
        Reason::QueueFull => Denied::QueueFull,
        Reason::Deadline => Denied::Deadline,
        Reason::Closed => Denied::Closed,
        _ => Denied::Busy(refusal.retry_after),
    }
}
