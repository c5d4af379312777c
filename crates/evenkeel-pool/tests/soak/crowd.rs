//! A hundred thousand waiters.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_pool::{Get, GetError, Pool};
use tokio::time::{Instant, sleep};

use crate::scripted::{Scripted, pool_with, secs};

const CROWD: usize = 100_000;

type Gets<'a> = Vec<Pin<Box<Get<'a, Scripted>>>>;

/// The waiters that have a deadline of their own.
#[derive(Clone, Copy, Debug)]
enum Own {
    None,
    /// All, the last one that comes at first.
    All,
    /// All but the first one and every hundredth.
    Most,
}

impl Own {
    /// Returns the time that this waiter has, if not that of the pool.
    fn limit(self, n: usize) -> Option<Duration> {
        let has_own = match self {
            Self::None => false,
            Self::All => true,
            Self::Most => !n.is_multiple_of(100),
        };
        has_own.then(|| secs(29) + Duration::from_micros((CROWD - n) as u64))
    }
}

fn crowd(pool: &Pool<Scripted>, own: Own) -> Gets<'_> {
    let now = Instant::now();
    let get = |n: usize| own.limit(n).map_or_else(|| pool.get(), |limit| pool.get_by(now + limit));
    let mut gets: Gets<'_> = (0..CROWD).map(|n| Box::pin(get(n))).collect();
    for get in &mut gets {
        assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    gets
}

/// They come, are served, give up from either end and from the middle, and run out of time: quadratic work in any of these
/// would take minutes.
#[tokio::test(start_paused = true)]
#[ignore = "soak"]
async fn a_crowd_comes_and_goes() {
    for own in [Own::None, Own::All, Own::Most] {
        // All of it is one poll of one task, for which tokio's budget is too small.
        tokio::task::unconstrained(come_and_go(own)).await;
    }
}

async fn come_and_go(own: Own) {
    let (pool, _script) = pool_with(1, |builder| builder.acquire_timeout(secs(30)));
    let mut lease = Some(pool.get().await.unwrap());
    let mut gets = crowd(&pool, own);
    for get in &mut gets {
        drop(lease.take());
        match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(served)) => lease = Some(served),
            other => panic!("first come, first served: {}", other.is_pending()),
        }
    }
    drop(gets);
    for order in 0..3 {
        let mut gets = crowd(&pool, own);
        match order {
            0 => gets.clear(),
            1 => while gets.pop().is_some() {},
            _ => {
                while !gets.is_empty() {
                    drop(gets.swap_remove(gets.len() / 2));
                }
            }
        }
        assert_eq!(pool.snapshot().waiting, 0);
    }
    let mut gets = crowd(&pool, own);
    let begin = Instant::now();
    sleep(secs(30)).await;
    tokio::task::yield_now().await;
    assert_eq!((begin.elapsed(), pool.snapshot().waiting), (secs(30), 0));
    for (n, get) in gets.iter_mut().enumerate() {
        match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(GetError::Timeout(why))) => {
                // They are not polled before the end of the sleep.
                assert_eq!(why.waited, secs(30));
                assert_eq!(why.ahead, n);
            }
            other => panic!("{}", other.is_pending()),
        }
    }
}
