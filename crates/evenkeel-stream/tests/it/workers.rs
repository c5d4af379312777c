//! Workers on a queue: what stops them, what does not, and their report.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_stream::{Capacity, ItemError, Producer, Workers, queue};
use evenkeel_testkit::{World, assert_took, cancel};
use futures::FutureExt as _;
use tokio::{task::yield_now, time::sleep};

use crate::support::{Gauge, ms};

type Outcome = Result<(), &'static str>;

fn workers<Fut>(
    n: usize,
    f: impl FnOnce(u64) -> Fut + Clone + Send + 'static,
) -> (Producer<u64>, Workers<u64, &'static str>)
where
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let (jobs, consumer) = queue(Capacity::items(100));
    (jobs, consumer.workers(n, f))
}

async fn wait(millis: u64) -> Outcome {
    sleep(ms(millis)).await;
    match millis {
        13 => Err("unlucky"),
        17 => std::panic::resume_unwind(Box::new("seventeen")),
        _ => Ok(()),
    }
}

#[test]
fn n_workers_take_one_item_after_the_other_until_the_queue_is_closed() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let (jobs, workers) = workers(3, {
            let gauge = gauge.clone();
            async move |millis| {
                let _inside = gauge.enter();
                wait(millis).await
            }
        });
        for _ in 0..30 {
            jobs.push(10).await.unwrap();
        }
        drop(jobs);
        let report = assert_took!(workers, ms(100));
        assert_eq!((report.done, gauge.most(), gauge.total()), (30, 3, 30));
        assert!(report.unstarted.is_empty() && report.failures.is_empty());
    });
}

#[test]
fn failures_and_panics_are_reported_and_stop_nobody() {
    World::run(async |_| {
        let (jobs, workers) = workers(2, wait);
        for millis in [13, 17, 13, 17, 1, 13, 2, 17, 3] {
            jobs.push(millis).await.unwrap();
        }
        jobs.join().await.unwrap();
        jobs.close();
        let report = workers.await;
        assert_eq!((report.done, report.failed, report.panicked, report.aborted), (3, 3, 3, 0));
        let texts = report.failures.iter().map(|failure| match failure {
            ItemError::Error(error) => *error,
            ItemError::Panic(panic) => panic.message().unwrap(),
            other => panic!("{other}"),
        });
        let texts: Vec<_> = texts.into_iter().collect();
        assert_eq!(texts.iter().filter(|text| **text == "seventeen").count(), 3);
        assert_eq!(texts.len(), 6);
    });
}

#[test]
fn a_panic_of_the_function_itself_is_one_of_the_item() {
    World::run(async |_| {
        let (jobs, workers) = workers(1, |millis| {
            if millis == 0 {
                std::panic::resume_unwind(Box::new("before its future"));
            }
            wait(millis)
        });
        for millis in [0, 1, 0, 1] {
            jobs.push(millis).await.unwrap();
        }
        drop(jobs);
        let report = workers.await;
        assert_eq!((report.done, report.panicked), (2, 2));
    });
}

#[test]
fn a_panic_of_a_clone_of_the_function_is_one_of_the_item() {
    struct Brittle(Arc<AtomicUsize>);
    impl Clone for Brittle {
        fn clone(&self) -> Self {
            // Once for the worker, once for each item.
            if self.0.fetch_add(1, SeqCst) == 2 {
                std::panic::resume_unwind(Box::new("no clone"));
            }
            Self(self.0.clone())
        }
    }
    World::run(async |_| {
        let brittle = Brittle(Arc::default());
        let (jobs, workers) = workers(1, async move |_| {
            let _captured = &brittle;
            Ok(())
        });
        for millis in 0..3 {
            jobs.push(millis).await.unwrap();
        }
        drop(jobs);
        let report = workers.await;
        assert_eq!((report.done, report.panicked), (2, 1));
    });
}

#[test]
fn only_the_first_failures_are_kept_and_all_are_counted() {
    World::run(async |_| {
        let (jobs, workers) = workers(4, async |_| Err("again"));
        for n in 0..1000 {
            jobs.push(n).await.unwrap();
        }
        drop(jobs);
        let report = workers.await;
        assert_eq!((report.failed, report.failures.len()), (1000, 64));
    });
}

#[test]
fn a_close_lets_them_work_for_a_time_and_returns_what_was_not_started() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let (jobs, workers) = workers(2, {
            let gauge = gauge.clone();
            async move |millis| {
                let _inside = gauge.enter();
                wait(millis).await
            }
        });
        for millis in [40, 40, 100, 100, 7, 8, 9] {
            jobs.push(millis).await.unwrap();
        }
        let report = assert_took!(workers.close(ms(50)), ms(50));
        assert_eq!((report.done, report.aborted, report.unstarted), (2, 2, vec![7, 8, 9]));
        // Their destructors have run.
        assert_eq!(gauge.now(), 0);
        assert!(jobs.push(1).await.is_err());
        assert_took!(jobs.join(), ms(0)).unwrap();
    });
}

#[test]
fn a_close_that_has_time_waits_no_longer_than_the_work() {
    World::run(async |_| {
        for within in [ms(30), Duration::MAX] {
            let (jobs, workers) = workers(2, wait);
            for millis in [10, 20, 5] {
                jobs.push(millis).await.unwrap();
            }
            let report = assert_took!(workers.close(within), ms(20));
            assert_eq!((report.done, report.aborted), (3, 0));
        }
    });
}

#[test]
fn a_close_without_time_ends_everything_now() {
    World::run(async |_| {
        let (jobs, workers) = workers(2, async |_| pending().await);
        for n in 0..5 {
            jobs.push(n).await.unwrap();
        }
        sleep(ms(1)).await;
        let report = assert_took!(workers.close(Duration::ZERO), ms(0));
        assert_eq!((report.done, report.aborted, report.unstarted), (0, 2, vec![2, 3, 4]));
    });
}

#[test]
fn close_now_lets_the_started_ones_finish() {
    World::run(async |_| {
        let (jobs, workers) = workers(2, wait);
        for millis in [10, 20, 30, 40] {
            jobs.push(millis).await.unwrap();
        }
        sleep(ms(1)).await;
        assert_eq!(jobs.close_now(), [30, 40]);
        let report = assert_took!(workers, ms(19));
        assert_eq!((report.done, report.unstarted), (2, vec![]));
    });
}

#[test]
fn workers_that_close_now_finish_what_is_started_and_return_the_rest() {
    World::run(async |_| {
        for (within, took, done, aborted) in
            [(Duration::MAX, 20, 2, 0), (ms(21), 20, 2, 0), (ms(15), 15, 1, 1), (ms(0), 0, 0, 2)]
        {
            let (jobs, workers) = workers(2, wait);
            for millis in [10, 20, 30, 40] {
                jobs.push(millis).await.unwrap();
            }
            // The workers take theirs, and no time passes.
            yield_now().await;
            let report = assert_took!(workers.close_now(within), ms(took));
            assert_eq!((report.done, report.aborted, report.unstarted), (done, aborted, vec![30, 40]));
            assert!(jobs.push(1).await.is_err());
            assert_took!(jobs.join(), ms(0)).unwrap();
        }
    });
}

#[test]
fn a_close_now_that_is_dropped_aborts_the_workers() {
    let cuts = cancel::every_point(
        async || Gauge::default(),
        async |gauge: Gauge| {
            let (jobs, workers) = workers(2, async move |millis| {
                let _inside = gauge.enter();
                wait(millis).await
            });
            for millis in [10, 20, 30] {
                jobs.push(millis).await.unwrap();
            }
            sleep(ms(1)).await;
            let report = workers.close_now(ms(100)).await;
            assert_eq!((report.done, report.unstarted), (2, vec![30]));
        },
        async |gauge: Gauge| {
            sleep(ms(1)).await;
            assert_eq!(gauge.now(), 0, "a worker goes on");
        },
    );
    assert!(cuts.points() >= 2, "{} points", cuts.points());
}

#[test]
fn dropped_workers_are_aborted_and_leave_the_rest_in_the_queue() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let (jobs, workers) = workers(2, {
            let gauge = gauge.clone();
            async move |_| {
                let _inside = gauge.enter();
                pending().await
            }
        });
        for n in 0..5 {
            jobs.push(n).await.unwrap();
        }
        sleep(ms(1)).await;
        assert_eq!(gauge.now(), 2);
        drop(workers);
        // The join of asyncio's queue would hang here.
        assert_eq!(jobs.join().await.unwrap_err().left, 3);
        assert_eq!((gauge.now(), jobs.close_now()), (0, vec![2, 3, 4]));
    });
}

#[test]
fn a_report_can_be_waited_for_in_pieces() {
    World::run(async |_| {
        let (jobs, mut workers) = workers(1, wait);
        jobs.push(10).await.unwrap();
        drop(jobs);
        assert!((&mut workers).now_or_never().is_none());
        sleep(ms(5)).await;
        assert!((&mut workers).now_or_never().is_none());
        assert_eq!(assert_took!(&mut workers, ms(5)).done, 1);
    });
}

#[test]
fn a_destructor_that_panics_in_an_aborted_item_is_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("boom"));
        }
    }
    World::run(async |_| {
        let (jobs, workers) = workers(1, async |_| {
            let _bomb = Bomb;
            pending().await
        });
        jobs.push(1).await.unwrap();
        sleep(ms(1)).await;
        let report = workers.close(Duration::ZERO).await;
        assert_eq!((report.panicked, report.aborted, report.failures.len()), (1, 0, 1));
    });
}

#[test]
fn workers_of_a_runtime_that_is_gone_say_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (jobs, consumer) = queue(Capacity::items(10));
    let began = Arc::new(AtomicBool::new(false));
    for n in 0..3_u8 {
        jobs.try_push(n).unwrap();
    }
    let entered = runtime.enter();
    let workers = consumer.workers(1, {
        let began = began.clone();
        async move |_| {
            began.store(true, SeqCst);
            pending::<Result<(), ()>>().await
        }
    });
    drop(entered);
    runtime.block_on(async { sleep(ms(1)).await });
    drop(runtime);
    assert!(began.load(SeqCst));
    let report = World::run(async |_| workers.await);
    assert_eq!((report.aborted, report.unstarted), (1, vec![1, 2]));
}

#[test]
#[should_panic = "the number of workers must not be zero"]
fn no_workers_panic() {
    World::run(async |_| drop(workers(0, wait)));
}
