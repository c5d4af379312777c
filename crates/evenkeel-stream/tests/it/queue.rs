//! The queue: its bounds, its order, its end, and its account.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use evenkeel_stream::{Capacity, Consumer, Job, PopError, Producer, PushError, queue};
use evenkeel_testkit::{World, assert_took};
use futures::{FutureExt as _, StreamExt as _};
use tokio::{task::yield_now, time::sleep};

use crate::support::{Gauge, ms};

fn of<T>(items: usize) -> (Producer<T>, Consumer<T>) {
    queue(Capacity::items(items))
}

fn filled(capacity: usize, items: u32) -> (Producer<u32>, Consumer<u32>) {
    let (jobs, consumer) = of(capacity);
    (0..items).for_each(|item| jobs.try_push(item).expect("there is room"));
    (jobs, consumer)
}

async fn rest<T>(consumer: Consumer<T>) -> Vec<T> {
    consumer.map(Job::done).collect().await
}

#[test]
fn items_come_in_order_and_the_last_producer_closes() {
    World::run(async |_| {
        let (jobs, consumer) = filled(10, 3);
        let other = jobs.clone();
        drop(jobs);
        other.push(3).await.unwrap();
        drop(other);
        assert_eq!(rest(consumer).await, [0, 1, 2, 3]);
    });
}

#[test]
fn a_push_waits_for_room_and_producers_are_served_in_their_order() {
    World::run(async |_| {
        let (jobs, consumer) = filled(2, 2);
        for item in 2..5 {
            let jobs = jobs.clone();
            tokio::spawn(async move {
                sleep(ms(item.into())).await;
                jobs.push(item).await.unwrap();
            });
        }
        sleep(ms(10)).await;
        assert_eq!(jobs.snapshot().waiting_producers, 3);
        assert_eq!(jobs.try_push(9), Err(PushError::Full(9)));
        // Room is passed on at once: nobody overtakes.
        drop(consumer.pop().await);
        assert_eq!(jobs.try_push(9), Err(PushError::Full(9)));
        assert_eq!((jobs.snapshot().items, jobs.snapshot().waiting_producers), (2, 2));
        drop(jobs);
        assert_eq!(rest(consumer).await, [1, 2, 3, 4]);
    });
}

#[test]
fn consumers_that_wait_are_served_in_their_order_and_not_overtaken() {
    World::run(async |_| {
        let (jobs, consumer) = of(10);
        let (mut first, mut second) = (pin!(consumer.pop()), pin!(consumer.pop()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        jobs.try_push('a').unwrap();
        assert_eq!(consumer.try_pop().unwrap_err(), PopError::Empty, "it is there for the first one");
        jobs.try_push('b').unwrap();
        jobs.try_push('c').unwrap();
        assert_eq!(*consumer.try_pop().unwrap(), 'a', "items come in order to the one that asks");
        assert_eq!(consumer.try_pop().unwrap_err(), PopError::Empty);
        assert_eq!(*second.await.unwrap(), 'b');
        assert_eq!(*first.await.unwrap(), 'c');
    });
}

#[test]
fn a_wait_that_is_dropped_passes_its_item_and_its_room_on() {
    World::run(async |_| {
        let (jobs, consumer) = of(1);
        {
            let mut given_up = pin!(consumer.pop());
            assert!(given_up.as_mut().now_or_never().is_none());
            jobs.try_push(1).unwrap();
        }
        assert_eq!(*consumer.try_pop().unwrap(), 1);
        // A waiter that was woken passes the wake on.
        let mut given_up = Box::pin(consumer.pop());
        assert!(given_up.as_mut().now_or_never().is_none());
        let waiting = tokio::spawn({
            let consumer = consumer.clone();
            async move { consumer.pop().await.map(Job::done) }
        });
        yield_now().await;
        jobs.try_push(2).unwrap();
        drop(given_up);
        assert_eq!(assert_took!(waiting, ms(0)).unwrap(), Some(2));

        jobs.try_push(3).unwrap();
        let mut push = jobs.push(4);
        assert!((&mut push).now_or_never().is_none());
        assert_eq!(push.into_item(), Some(4));
        drop(consumer.pop().await);
        assert_eq!(jobs.snapshot().items, 0);
        // One that has entered is not taken back, also if its future was not told.
        jobs.try_push(5).unwrap();
        let mut push = jobs.push(6);
        assert!((&mut push).now_or_never().is_none());
        drop(consumer.pop().await);
        assert_eq!(push.into_item(), None);
        assert_eq!(*consumer.try_pop().unwrap(), 6);
        assert_eq!(jobs.push(7).into_item(), Some(7), "it was never polled");
    });
}

#[test]
fn bytes_bound_the_queue_and_one_large_item_fits_an_empty_one() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(usize::MAX).max_bytes(10, |item: &usize| *item));
        jobs.try_push(6).unwrap();
        jobs.try_push(4).unwrap();
        assert_eq!(jobs.try_push(0), Err(PushError::Full(0)), "an item counts as one byte at least");
        assert_eq!(jobs.snapshot().bytes, 10);
        drop(consumer.try_pop().unwrap());
        // The large one waits for the empty queue, and the small one behind it does not overtake.
        let mut large = jobs.push(usize::MAX);
        let mut small = jobs.push(1);
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none());
        assert_eq!((*consumer.try_pop().unwrap(), jobs.snapshot().bytes), (4, 10));
        assert!((&mut large).now_or_never().is_some());
        assert!((&mut small).now_or_never().is_none());
        assert_eq!(*consumer.try_pop().unwrap(), usize::MAX);
        assert!(small.now_or_never().is_some());
        assert_eq!(jobs.snapshot().bytes, 1);

        // A large one that gives up lets the small ones behind it in.
        let mut large = jobs.push(10);
        let mut small = jobs.push(2);
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none());
        drop(large);
        assert!(small.now_or_never().is_some());
    });
}

#[test]
fn sizes_at_the_end_of_the_numbers_add_up() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(10).max_bytes(usize::MAX, |_: &u8| usize::MAX));
        jobs.try_push(0).unwrap();
        let job = consumer.try_pop().unwrap();
        jobs.try_push(1).unwrap();
        job.put_back();
        assert_eq!(jobs.snapshot().bytes, usize::MAX);
        assert_eq!(jobs.try_push(2), Err(PushError::Full(2)));
        assert_eq!([*consumer.try_pop().unwrap(), *consumer.try_pop().unwrap()], [0, 1]);
        assert_eq!(jobs.snapshot().bytes, 0);
        jobs.try_push(2).unwrap();
    });
}

#[test]
fn a_panic_of_the_size_is_one_of_the_push() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(10).max_bytes(10, |item: &u8| 10 / usize::from(*item)));
        jobs.try_push(5).unwrap();
        assert!(evenkeel_task::Panic::catch(|| jobs.try_push(0)).is_err());
        assert!(evenkeel_task::Panic::catch(|| drop(jobs.push(0))).is_err());
        jobs.push(2).await.unwrap();
        drop(jobs);
        assert_eq!(rest(consumer).await, [5, 2]);
    });
}

#[test]
fn close_lets_the_rest_out_and_returns_the_items_of_producers_that_wait() {
    World::run(async |_| {
        let (jobs, consumer) = filled(2, 2);
        let mut waiting = pin!(jobs.push(7));
        assert!(waiting.as_mut().now_or_never().is_none());
        consumer.close();
        assert_eq!(waiting.await, Err(PushError::Closed(7)));
        assert_eq!(jobs.push(8).await, Err(PushError::Closed(8)));
        assert_eq!(jobs.try_push(9), Err(PushError::Closed(9)));
        assert_eq!(consumer.clone().count().await, 2);
        assert!(consumer.pop().await.is_none());
        assert_eq!(consumer.try_pop().unwrap_err(), PopError::Closed);
    });
}

#[test]
fn a_close_wakes_every_consumer() {
    World::run(async |w| {
        let (jobs, consumer) = of::<u8>(2);
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let consumer = consumer.clone();
                tokio::spawn(async move { consumer.pop().await.is_none() })
            })
            .collect();
        w.settle().await;
        jobs.close();
        for task in waiting {
            assert!(task.await.unwrap());
        }
    });
}

#[test]
fn close_now_returns_every_item_that_was_not_taken_reserved_ones_as_well() {
    World::run(async |_| {
        let (jobs, consumer) = of(2);
        let mut reserved = pin!(consumer.pop());
        assert!(reserved.as_mut().now_or_never().is_none());
        jobs.try_push(0).unwrap();
        jobs.try_push(1).unwrap();
        let mut waiting = pin!(jobs.push(2));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(jobs.close_now(), [0, 1]);
        assert_eq!(waiting.await, Err(PushError::Closed(2)));
        assert!(reserved.await.is_none());
        assert!(jobs.close_now().is_empty());
        jobs.join().await.unwrap();
    });
}

#[test]
fn the_last_consumer_that_goes_refuses_producers_and_leaves_the_items() {
    World::run(async |_| {
        let (jobs, consumer) = filled(2, 2);
        let mut waiting = pin!(jobs.push(2));
        assert!(waiting.as_mut().now_or_never().is_none());
        let job = consumer.clone().pop().await.unwrap();
        drop(consumer);
        // The job's room let the third item in.
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(jobs.push(3).await, Err(PushError::Closed(3)));
        job.put_back();
        assert_eq!(jobs.close_now(), [0, 1, 2]);
    });
}

#[test]
fn a_job_is_done_when_it_is_dropped_in_any_way() {
    World::builder().allow_panics(1).run(async |_| {
        let (jobs, consumer) = filled(10, 4);
        drop(consumer.pop().await);
        assert_eq!(consumer.pop().await.unwrap().done(), 1);
        let job = consumer.pop().await;
        let panicked = tokio::spawn(async move {
            let _job = job;
            panic!("while it has a job");
        });
        assert!(panicked.await.is_err());
        let job = consumer.pop().await;
        let aborted = tokio::spawn(async move {
            let _job = job;
            sleep(ms(1000)).await;
        });
        yield_now().await;
        assert_eq!(jobs.snapshot().in_flight, 1);
        aborted.abort();
        jobs.join().await.unwrap();
        assert_eq!((jobs.snapshot().done, jobs.snapshot().in_flight), (4, 0));
    });
}

#[test]
fn a_join_waits_for_the_destructor_of_the_last_item() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let (jobs, consumer) = of(1);
        jobs.push(gauge.enter()).await.unwrap();
        let job = consumer.pop().await;
        tokio::spawn(async move {
            sleep(ms(5)).await;
            drop(job);
        });
        assert_took!(jobs.join(), ms(5)).unwrap();
        assert_eq!(gauge.now(), 0);
    });
}

#[test]
fn a_join_needs_no_close_and_does_not_wait_for_work_that_comes_later() {
    World::run(async |_| {
        let (jobs, consumer) = of(1);
        jobs.join().await.unwrap();
        let workers = consumer.workers(1, async |time| {
            sleep(ms(time)).await;
            Ok::<_, ()>(())
        });
        jobs.push(10).await.unwrap();
        let (more, joined) = (jobs.clone(), jobs.join());
        tokio::spawn(async move {
            sleep(ms(10)).await;
            more.push(1000).await.unwrap();
        });
        assert_took!(joined, ms(10)).unwrap();
        assert_took!(jobs.join(), ms(1000)).unwrap();
        drop(workers);
    });
}

#[test]
fn a_join_ends_when_no_consumer_is_left() {
    World::run(async |_| {
        let (jobs, consumer) = filled(10, 3);
        let job = consumer.pop().await.unwrap().put_back_on_drop();
        let mut join = pin!(jobs.join());
        assert!(join.as_mut().now_or_never().is_none());
        drop(consumer);
        assert!(join.as_mut().now_or_never().is_none(), "one is still in flight");
        drop(job);
        assert_eq!(join.await.unwrap_err().left, 3);
        assert_eq!(jobs.join().await.unwrap_err().left, 3);
        assert_eq!(jobs.close_now(), [0, 1, 2]);
        jobs.join().await.unwrap();
    });
}

#[test]
fn consumers_that_were_told_the_end_are_not_waited_for() {
    World::run(async |_| {
        let (jobs, consumer) = filled(10, 1);
        let idle = consumer.clone();
        let job = consumer.pop().await.unwrap().put_back_on_drop();
        jobs.close();
        assert!(idle.pop().await.is_none());
        // The task of the job dies, and the other consumer has ended: nobody would take the item.
        drop(consumer);
        drop(job);
        assert_eq!(jobs.join().await.unwrap_err().left, 1);
        assert!(idle.pop().await.is_none(), "an end is for ever");
        assert!(idle.clone().next().await.is_none());
        assert_eq!(idle.close_now(), [0]);
    });
}

#[test]
fn an_item_that_is_put_back_is_the_next_one_also_while_the_queue_drains() {
    World::run(async |_| {
        let (jobs, consumer) = filled(2, 2);
        let job = consumer.pop().await.unwrap();
        jobs.push(2).await.unwrap();
        job.put_back();
        assert_eq!(jobs.snapshot().items, 3);
        assert_eq!(jobs.try_push(3), Err(PushError::Full(3)));
        drop(jobs);
        let mut came = Vec::new();
        let attempts = AtomicUsize::new(0);
        while let Some(job) = consumer.pop().await {
            match attempts.fetch_add(1, SeqCst) % 3 {
                2 => came.push(job.done()),
                _ => job.put_back(),
            }
        }
        assert_eq!(came, [0, 1, 2]);
    });
}

#[test]
#[should_panic = "the capacity of a queue must not be zero"]
fn a_queue_of_no_items_panics() {
    let _ = Capacity::<u8>::items(0);
}

#[test]
#[should_panic = "the capacity of a queue must not be zero"]
fn a_queue_of_no_bytes_panics() {
    let _ = Capacity::<u8>::items(1).max_bytes(0, |_| 1);
}
