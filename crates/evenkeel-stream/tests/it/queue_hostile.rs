//! The queue under drops at every await, wakers that call back or panic, many threads, and a model.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use evenkeel_stream::{Capacity, Consumer, Job, Pop, Producer, Push, PushError, queue};
use evenkeel_task::Panic;
use evenkeel_testkit::{
    World, cancel,
    waker::{WakerEvent, panicking, with_hook},
};
use futures::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::ms;

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn every_wait_can_be_dropped_at_every_await() {
    let cuts = cancel::every_point(
        async || Arc::new(queue(Capacity::items(1))),
        async |ends| {
            let (jobs, consumer) = &*ends;
            let produce = async {
                for item in 0..4 {
                    jobs.push(item).await.unwrap();
                }
                jobs.join().await.unwrap();
            };
            let consume = async {
                for _ in 0..4 {
                    let job = consumer.pop().await.unwrap();
                    sleep(ms(1)).await;
                    drop(job);
                }
            };
            tokio::join!(produce, consume);
        },
        async |ends| {
            let (jobs, consumer) = &*ends;
            // Whatever was cut, nobody is left waiting, nothing is in flight, and both ends work.
            let left = jobs.snapshot();
            assert_eq!((left.in_flight, left.waiting_producers, left.waiting_consumers), (0, 0, 0));
            while let Ok(job) = consumer.try_pop() {
                drop(job);
            }
            jobs.push(9).await.unwrap();
            assert_eq!(*consumer.pop().await.unwrap(), 9);
            jobs.join().await.unwrap();
        },
    );
    assert!(cuts.points() > 4);
}

#[test]
fn a_stream_that_is_cut_loses_no_item() {
    World::run(async |_| {
        let (jobs, mut consumer) = queue(Capacity::items(2));
        tokio::spawn(async move {
            for item in 0..20 {
                sleep(ms(3)).await;
                jobs.push(item).await.unwrap();
            }
        });
        let mut came = Vec::new();
        loop {
            match consumer.next().now_or_never() {
                Some(Some(job)) => came.push(job.done()),
                Some(None) => break,
                None => sleep(ms(1)).await,
            }
        }
        assert!(came.into_iter().eq(0..20));
    });
}

#[test]
fn a_consumer_that_stops_to_poll_passes_its_item_on_when_it_is_dropped() {
    World::run(async |_| {
        let (jobs, mut first) = queue(Capacity::items(2));
        let second = first.clone();
        assert!(first.next().now_or_never().is_none());
        jobs.try_push(1).unwrap();
        let waiting = pin!(second.pop());
        let mut waiting = waiting;
        assert!(waiting.as_mut().now_or_never().is_none(), "the item is the first one's");
        drop(first);
        assert_eq!(*waiting.await.unwrap(), 1);
    });
}

#[test]
fn wakers_may_use_the_queue() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(1));
        let events = Arc::new(AtomicUsize::new(0));
        let waker = with_hook({
            let (jobs, consumer, events) = (jobs.clone(), consumer.clone(), events.clone());
            move |_: WakerEvent| {
                events.fetch_add(1, SeqCst);
                let _ = (jobs.snapshot(), format!("{consumer:?}"), jobs.try_push(0), consumer.try_pop());
                drop((jobs.push(1), consumer.pop(), jobs.join()));
            }
        });
        let other = Waker::noop();
        let (mut pop, mut join) = (consumer.pop(), jobs.join());
        for waker in [&waker, other, &waker] {
            // The waker itself pushes items.
            if poll(&mut pop, waker).is_ready() {
                break;
            }
        }
        let _ = jobs.try_push(7);
        drop(pop);
        let _ = jobs.try_push(8);
        for waker in [&waker, other, &waker] {
            if poll(&mut join, waker).is_ready() {
                break;
            }
        }
        let mut push = jobs.push(9);
        for waker in [&waker, other, &waker] {
            if poll(&mut push, waker).is_ready() {
                break;
            }
        }
        while consumer.try_pop().is_ok() {}
        drop(jobs.close_now());
        assert!(events.load(SeqCst) > 3);
    });
}

#[test]
fn wakers_that_panic_lose_no_item_and_no_other_wake() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(1));
        jobs.try_push(1).unwrap();
        // A pop makes room for a producer whose waker panics: the popped item is back in the queue.
        let mut broken = jobs.push(2);
        assert!(poll(&mut broken, &panicking("broken")).is_pending());
        assert!(Panic::catch(|| consumer.try_pop().map(Job::done)).is_err());
        assert_eq!(consumer.try_pop().unwrap().done(), 1);
        assert!(broken.now_or_never().unwrap().is_ok());
        assert_eq!(consumer.try_pop().unwrap().done(), 2);
        // All that wait hear of the end.
        let mut pops: Vec<Pop<'_, i32>> = (0..3).map(|_| consumer.pop()).collect();
        let wakes = Arc::new(AtomicUsize::new(0));
        let counting = {
            let wakes = wakes.clone();
            with_hook(move |event| {
                wakes.fetch_add(usize::from(event == WakerEvent::Wake), SeqCst);
            })
        };
        assert!(poll(&mut pops[0], &panicking("first")).is_pending());
        assert!(poll(&mut pops[1], &counting).is_pending());
        assert!(poll(&mut pops[2], &counting).is_pending());
        assert!(Panic::catch(|| jobs.close()).is_err());
        assert_eq!(wakes.load(SeqCst), 2);
        assert!(pops.iter_mut().all(|pop| matches!(poll(pop, Waker::noop()), Poll::Ready(None))));
    });
}

#[test]
fn many_threads_take_each_item_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let (jobs, consumer) = queue(Capacity::items(3));
        let (sum, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let workers = consumer.workers(4, {
            let (sum, count) = (sum.clone(), count.clone());
            async move |item: u64| {
                sum.fetch_add(item, SeqCst);
                count.fetch_add(1, SeqCst);
                if item.is_multiple_of(7) { Err(()) } else { Ok(()) }
            }
        });
        let producers: Vec<_> = (0..4_u64)
            .map(|part| {
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    for item in 0..500 {
                        // Some waits are given up, and begin again with their item.
                        let mut push = jobs.push(part * 500 + item);
                        if (&mut push).now_or_never().is_none() {
                            match push.into_item() {
                                Some(item) => jobs.push(item).await.unwrap(),
                                None => continue,
                            }
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.await.unwrap();
        }
        jobs.join().await.unwrap();
        assert_eq!((sum.load(SeqCst), count.load(SeqCst)), ((0..2000).sum(), 2000));
        jobs.close();
        let report = workers.await;
        assert_eq!((report.done + report.failed, report.failed), (2000, 286));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    GiveUpPush,
    Pop,
    GiveUpPop,
    Done,
    PutBack,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..7_usize).prop_map(Step::Push),
        1 => Just(Step::GiveUpPush),
        6 => Just(Step::Pop),
        1 => Just(Step::GiveUpPop),
        3 => Just(Step::Done),
        2 => Just(Step::PutBack),
        1 => prop::bool::weighted(0.1).prop_map(|close| if close { Step::Close } else { Step::Pop }),
    ]
}

type Item = (usize, usize);

/// The queue as a program that is obviously right: items, the producers that wait, and how many consumers wait.
#[derive(Default)]
struct Model {
    items: VecDeque<Item>,
    pushes: VecDeque<Item>,
    in_flight: VecDeque<Item>,
    closed: bool,
    // The consumer was told the end.
    has_left: bool,
}

impl Model {
    fn settle(&mut self, max_items: usize, max_bytes: usize) {
        while let Some(next) = self.pushes.front() {
            let bytes: usize = self.items.iter().map(|(_, size)| size).sum();
            if self.items.len() >= max_items || bytes + next.1 > max_bytes {
                return;
            }
            self.items.extend(self.pushes.pop_front());
        }
    }
}

fn run(steps: &[Step], max_items: usize, max_bytes: usize) {
    let capacity = Capacity::items(max_items).max_bytes(max_bytes, |item: &Item| item.1);
    let (jobs, consumer): (Producer<Item>, Consumer<Item>) = queue(capacity);
    let mut model = Model::default();
    let mut pushes: VecDeque<Push<'_, Item>> = VecDeque::new();
    let mut pops: VecDeque<Pop<'_, Item>> = VecDeque::new();
    let mut in_flight: VecDeque<Job<Item>> = VecDeque::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Push(size) => {
                let item = (number, (*size).clamp(1, max_bytes));
                let mut push = jobs.push(item);
                match poll(&mut push, Waker::noop()) {
                    Poll::Ready(Err(error)) => {
                        assert_eq!((model.closed, error), (true, PushError::Closed(item)));
                        continue;
                    }
                    Poll::Ready(Ok(())) => {}
                    Poll::Pending => pushes.push_back(push),
                }
                model.pushes.push_back(item);
            }
            Step::GiveUpPush => {
                let given_up = pushes.pop_back().and_then(Push::into_item);
                assert_eq!(given_up, model.pushes.pop_back().filter(|_| given_up.is_some()).or(None));
            }
            Step::Pop => pops.push_back(consumer.pop()),
            Step::GiveUpPop => drop(pops.pop_back()),
            Step::Done => {
                assert_eq!(in_flight.pop_front().map(Job::done), model.in_flight.pop_front());
            }
            Step::PutBack => {
                in_flight.pop_back().into_iter().for_each(Job::put_back);
                model.in_flight.pop_back().into_iter().for_each(|item| model.items.push_front(item));
            }
            Step::Close => {
                jobs.close();
                model.closed = true;
                for (push, item) in pushes.drain(..).zip(model.pushes.drain(..)) {
                    assert_eq!(push.now_or_never(), Some(Err(PushError::Closed(item))));
                }
            }
        }
        model.settle(max_items, max_bytes);
        // Consumers take what is there, each in its turn, and make room.
        while !pops.is_empty() && !model.items.is_empty() && !model.has_left {
            let Poll::Ready(Some(job)) = poll(&mut pops[0], Waker::noop()) else {
                panic!("its turn has come")
            };
            assert_eq!(Some(*job), model.items.front().copied());
            model.in_flight.extend(model.items.pop_front());
            in_flight.push_back(job);
            pops.pop_front();
            model.settle(max_items, max_bytes);
        }
        if model.closed {
            model.has_left |= !pops.is_empty();
            assert!(pops.drain(..).all(|pop| pop.now_or_never().is_some_and(|popped| popped.is_none())));
        }
        // Pushes that were accepted hear of it.
        while pushes.len() > model.pushes.len() {
            assert_eq!(pushes.pop_front().and_then(|push| push.now_or_never()), Some(Ok(())));
        }
        assert!(pushes.iter_mut().all(|push| poll(push, Waker::noop()).is_pending()));
        assert!(pops.iter_mut().all(|pop| poll(pop, Waker::noop()).is_pending()));
        let now = jobs.snapshot();
        assert_eq!(now.items, model.items.len());
        assert_eq!(now.bytes, model.items.iter().map(|(_, size)| size).sum::<usize>());
        assert_eq!(now.in_flight, model.in_flight.len() as u64);
        assert_eq!((now.waiting_producers, now.waiting_consumers), (pushes.len(), pops.len()));
        assert_eq!(now.accepted, now.done + now.in_flight + now.items as u64);
        let is_done = model.items.is_empty() && model.in_flight.is_empty();
        assert_eq!(jobs.join().now_or_never().is_some_and(|joined| joined.is_ok()), is_done);
    }
    // A producer that gives up would let the next one in.
    jobs.close();
    drop((pushes, pops));
    assert!(jobs.close_now().into_iter().eq(model.items));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_does_what_the_model_says(
        steps in prop::collection::vec(step(), 0..60),
        max_items in 1..4_usize,
        max_bytes in 1..12_usize,
    ) {
        run(&steps, max_items, max_bytes);
    }
}

/// A consumer that was told the end, and has not looked yet, takes an item that is put back meanwhile.
#[test]
fn an_item_that_is_put_back_behind_the_end_reaches_a_consumer_that_waits() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(2));
        jobs.try_push(1).unwrap();
        let job = consumer.pop().await.unwrap();
        let mut first = consumer.clone();
        let second = consumer.clone();
        assert!(first.next().now_or_never().is_none());
        let mut waiting = pin!(second.pop());
        assert!(waiting.as_mut().now_or_never().is_none());
        jobs.close();
        job.put_back();
        let job = waiting.as_mut().now_or_never().expect("it was woken").unwrap();
        assert_eq!(*job, 1);
        // The other one was told as well, and finds what it was told, or an item that comes back before it looks.
        job.put_back();
        assert_eq!(first.next().now_or_never().unwrap().unwrap().done(), 1);
        assert!(matches!(consumer.pop().now_or_never(), Some(None)));
    });
}
