//! A hundred thousand waiters.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use evenkeel_pool::{Get, GetError, Pool};
use tokio::time::{Instant, sleep};

use crate::scripted::{Scripted, pool_with, secs};

const CROWD: usize = 100_000;

type Gets<'a> = Vec<Pin<Box<Get<'a, Scripted>>>>;

fn crowd(pool: &Pool<Scripted>) -> Gets<'_> {
    let mut gets: Gets<'_> = (0..CROWD).map(|_| Box::pin(pool.get())).collect();
    for get in &mut gets {
        assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    gets
}

/// They come, are served, give up from either end and from the middle, and run out of time together: quadratic work in any
/// of these would take minutes.
#[tokio::test(start_paused = true)]
#[ignore = "soak"]
async fn a_crowd_comes_and_goes() {
    // All of it is one poll of one task, for which tokio's budget is too small.
    tokio::task::unconstrained(come_and_go()).await;
}

async fn come_and_go() {
    let (pool, _script) = pool_with(1, |builder| builder.acquire_timeout(secs(30)));
    let mut lease = Some(pool.get().await.unwrap());
    let mut gets = crowd(&pool);
    for get in &mut gets {
        drop(lease.take());
        match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(served)) => lease = Some(served),
            other => panic!("first come, first served: {}", other.is_pending()),
        }
    }
    drop(gets);
    for order in 0..3 {
        let mut gets = crowd(&pool);
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
    let mut gets = crowd(&pool);
    let begin = Instant::now();
    sleep(secs(30)).await;
    tokio::task::yield_now().await;
    assert_eq!((begin.elapsed(), pool.snapshot().waiting), (secs(30), 0));
    for get in &mut gets {
        match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(GetError::Timeout(why))) => assert_eq!(why.waited, secs(30)),
            other => panic!("{}", other.is_pending()),
        }
    }
}
