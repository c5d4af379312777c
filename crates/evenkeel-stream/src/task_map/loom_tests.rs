//! Loom tests of the hand-over: the consumer and its workers in every order of their steps.
//!
//! The threads take the real steps of [`State`], under loom's lock. A thread that waits for a waker is parked, so a wake that is
//! lost is a deadlock, which loom reports.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

use loom::{
    model::Builder,
    sync::{Condvar, Mutex},
    thread,
};

use super::{
    results::Results,
    state::{ItemResult, Parked, State},
    step::Step,
    workers::Call,
};
use crate::span::Span;

type Numbers = State<Source, u32, u32, ()>;

/// A source of as many items as are left in it, and its room.
struct Source {
    left: u32,
    room: usize,
}

struct Map {
    state: Mutex<Numbers>,
    /// The number of items that are in flight before any of them ends.
    together: u32,
    begun: Mutex<u32>,
    /// Whether the consumer says that it is a task; as such it leaves its wake to others.
    is_task: bool,
    all_begun: Condvar,
}

impl Map {
    fn with<R>(&self, step: impl FnOnce(&mut Numbers) -> R) -> R {
        step(&mut self.state.lock().expect("no panic under the lock"))
    }

    /// Takes items as long as there is room; returns whether the source has ended.
    fn pull(self: &Arc<Self>, source: &mut Source) -> bool {
        while source.room > 0 && source.left > 0 {
            source.left -= 1;
            source.room -= 1;
            let (call, refused) = self.with(|state| state.push(source.left, None, Span::current()));
            assert!(refused.is_none());
            self.perform(call);
        }
        if source.left == 0 {
            self.with(|state| assert!(state.source_over(None).is_none()));
        }
        source.left == 0
    }

    /// Runs an item: it ends when enough of them have begun.
    fn run(&self) {
        let mut begun = self.begun.lock().expect("no panic under the lock");
        *begun += 1;
        while *begun < self.together {
            begun = self.all_begun.wait(begun).expect("no panic under the lock");
        }
        self.all_begun.notify_all();
    }

    fn perform(self: &Arc<Self>, call: Call) {
        match call {
            Call::None => {}
            Call::Wake(waker) => waker.wake(),
            Call::Spawn(key) => {
                let map = Arc::clone(self);
                thread::spawn(move || work(&map, key));
            }
        }
    }
}

/// Wakes a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// The steps of a worker.
fn work(map: &Arc<Map>, key: usize) {
    let mut own = None;
    let mut report = None;
    let (mut is_waiting, mut has_yielded, mut seen) = (true, false, None);
    loop {
        own.get_or_insert_with(waker);
        let next = map.with(|state| {
            if is_waiting && !state.workers.arrive(key) {
                return None;
            }
            if let Some((ticket, result)) = report.take() {
                assert!(state.finish(ticket, result).is_none());
            }
            is_waiting = false;
            // To loom every step is short.
            let away = || Duration::ZERO;
            Some(state.step(key, &mut own, true, std::mem::take(&mut has_yielded), seen.take(), away))
        });
        // Woken without a call.
        let Some(next) = next else {
            thread::park();
            continue;
        };
        if let Some(consumer) = next.consumer {
            consumer.wake();
        }
        map.perform(next.call);
        match next.step {
            Step::Run(item) => {
                map.run();
                report = Some((item.ticket, Ok(item.value)));
            }
            Step::Pull(mut source) => {
                let has_ended = map.pull(&mut source);
                let consumer = map.with(|state| {
                    if has_ended {
                        return state.take_consumer();
                    }
                    source.room = std::mem::take(&mut state.freed);
                    state.parked =
                        if source.room == 0 { Parked::Full(source) } else { Parked::Pending(source) };
                    state.take_awaited()
                });
                if let Some(consumer) = consumer {
                    consumer.wake();
                }
            }
            Step::Yield(steps) => {
                (is_waiting, has_yielded, seen) = (true, true, steps);
                thread::yield_now();
            }
            Step::StandBy(steps) => {
                (is_waiting, has_yielded, seen) = (true, true, Some(steps));
                thread::yield_now();
            }
            Step::Park => {
                is_waiting = true;
                thread::park();
            }
            Step::End => break,
        }
    }
    let left = map.with(|state| {
        let entry = state.workers.remove(key, is_waiting);
        (entry, if state.workers.alive() == 0 { state.take_consumer() } else { None })
    });
    if let Some(consumer) = left.1 {
        consumer.wake();
    }
}

/// Takes all results, as the consumer does, and returns them. A source that `waits` is left to a worker at first.
fn consume(map: &Arc<Map>, source: Source, waits: bool) -> Vec<u32> {
    let mut due: VecDeque<ItemResult<u32, ()>> = VecDeque::new();
    let mut seen = Vec::new();
    let mut source = Some(source);
    if waits && let Some(source) = source.take() {
        let call = map.with(|state| state.park_pending(source, (0, None)));
        map.perform(call);
    }
    loop {
        if let Some(source) = &mut source {
            map.pull(source);
        }
        while let Some(result) = due.pop_front() {
            seen.push(result.expect("no item fails"));
            match &mut source {
                Some(source) => source.room += 1,
                None => source = map.with(|state| state.make_room(|source, room| source.room = room)),
            }
            if let Some(source) = &mut source {
                map.pull(source);
            }
        }
        let own = waker();
        let call = map.with(|state| {
            state.results.take_into(&mut due);
            if !due.is_empty() || (state.ended && state.started == seen.len() as u64) {
                return None;
            }
            drop(state.wait(own, map.is_task));
            Some(state.call())
        });
        match call {
            Some(call) => {
                map.perform(call);
                thread::park();
            }
            None if due.is_empty() => break,
            None => {}
        }
    }
    // The workers that are parked are called to their end.
    map.with(|state| drop(state.close().workers));
    while let Some(waker) = map.with(|state| state.workers.take_parked()) {
        waker.wake();
    }
    seen
}

fn explore(limit: usize, threads: usize, items: u32, together: u32, ordered: bool, waits: bool) {
    for is_task in [false, true] {
        explore_as(is_task, limit, threads, items, together, ordered, waits);
    }
}

fn explore_as(
    is_task: bool,
    limit: usize,
    threads: usize,
    items: u32,
    together: u32,
    ordered: bool,
    waits: bool,
) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let mut state = Numbers::new(limit);
        state.workers.set_threads(threads);
        if ordered {
            state.results = Results::ordered();
        }
        let (state, begun) = (Mutex::new(state), Mutex::new(0));
        let map = Arc::new(Map { state, together, begun, is_task, all_begun: Condvar::new() });
        let mut seen = consume(&map, Source { left: items, room: limit }, waits);
        if !ordered {
            seen.sort_unstable_by(|a, b| b.cmp(a));
        }
        assert!(seen.into_iter().eq((0..items).rev()));
    });
}

#[test]
fn each_item_is_run_once_by_one_worker() {
    for waits in [false, true] {
        explore(1, 1, 2, 1, false, waits);
    }
}

#[test]
fn each_item_is_run_once_by_two_workers() {
    for threads in [1, 2] {
        for ordered in [false, true] {
            explore(2, threads, 3, 1, ordered, false);
        }
    }
}

#[test]
fn a_source_that_waits_is_handed_over_and_back() {
    for threads in [1, 2] {
        explore(2, threads, 3, 1, false, true);
    }
}

/// Each item waits for the other one: both have a worker, whoever takes them from the source.
#[test]
fn items_in_flight_have_a_worker_each() {
    for threads in [1, 2] {
        explore(2, threads, 3, 2, false, false);
    }
}
