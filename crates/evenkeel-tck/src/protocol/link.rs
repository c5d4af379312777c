//! The connection of one rule in one world to an adapter: messages out, events in, and the two clocks in step.
//!
//! # How it works
//!
//! The actions of the rule are queued. When the world is idle, nothing more can come before time moves: one turn sends them all, and
//! lets the adapter run on until the suite's own next timer ([`agenda`](crate::agenda)), or until its first event. Then the world's clock goes
//! to the adapter's, which no timer of the suite precedes, and the events are told. So both clocks move together,
//! each to what is due next in either process.
//!
//! An answer that a rule needs at once (a request that does not wait) is a turn in which no time passes. `link/drive.rs` has the clocks.

mod drive;

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_testkit::World;
use serde_json::json;
use tokio::{sync::Notify, time::Instant};

use super::{
    pipes::Pipes,
    wire::{Members, Object, object},
};
use crate::{Verdict, apart::Apart, timeline::add_to_trace};

/// Messages of one turn, whose line fits into a pipe.
const MESSAGES: usize = 100;

/// So many turns without time between them are an implementation that does the same again and again.
const SPIN: u32 = 2_000;

thread_local! {
    /// The verdict on the adapter, for the rule that this thread checks.
    static VERDICT: RefCell<Option<Verdict>> = const { RefCell::new(None) };
}

/// The verdict on the adapter itself, if it was found wanting since the last call.
pub(crate) fn take_verdict() -> Option<Verdict> {
    VERDICT.take()
}

/// The first verdict counts.
pub(crate) fn found(verdict: Verdict) {
    VERDICT.with_borrow_mut(|known| {
        known.get_or_insert(verdict);
    });
}

/// Something in the adapter that has events: a call, a request, an answer that is waited for.
pub(crate) trait Handler: Send + Sync {
    /// # Errors
    /// Why there cannot be such an event.
    fn event(&self, name: &str, event: &Object) -> Result<(), String>;

    /// No event will come any more.
    fn broken(&self) {}

    /// Nothing of the rule is left that could look at it.
    fn closed(&self) {}
}

pub(crate) struct Link {
    world: World,
    start: Instant,
    limit: Duration,
    ids: AtomicU64,
    closed: Notify,
    /// Something is queued, or it is closed.
    said: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pipes: Option<Pipes>,
    queue: VecDeque<Object>,
    handlers: HashMap<u64, Arc<dyn Handler>>,
    is_closed: bool,
    is_driven: bool,
    /// Turns at the time of the last one, where too many are a fault.
    spins: Option<(Duration, u32)>,
}

impl Link {
    pub(crate) fn new(world: World, pipes: Pipes, limit: Duration) -> Self {
        let start = Instant::now() - world.elapsed();
        let state = State { pipes: Some(pipes), ..State::default() };
        let (closed, said) = (Notify::new(), Notify::new());
        Self { world, start, limit, ids: AtomicU64::new(1), closed, said, state: Mutex::new(state) }
    }

    /// Whether it is of this world.
    pub(crate) fn is_of(&self, world: &World) -> bool {
        Instant::now().checked_sub(world.elapsed()) == Some(self.start)
    }

    /// A new number for a policy, a limiter, a call or a request.
    pub(crate) fn id(&self) -> u64 {
        self.ids.fetch_add(1, Relaxed)
    }

    /// The time of the suite at this instant, which may be before the start.
    pub(crate) fn time_of(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }

    /// Queues a message for the next turn.
    pub(crate) fn send(&self, message: serde_json::Value) {
        lock(&self.state).queue.push_back(object(message));
        self.said.notify_one();
    }

    /// Adds an item to the message that is queued last, if that is such a list: all of it is carried out at once.
    pub(crate) fn send_item(&self, name: &str, item: serde_json::Value) {
        let is_added = {
            let mut state = lock(&self.state);
            let last = state.queue.back_mut().filter(|last| last.text("do") == Ok(name));
            match last.and_then(|last| last.get_mut("of")?.as_array_mut()) {
                Some(list) => {
                    list.push(item.clone());
                    true
                }
                None => false,
            }
        };
        if !is_added {
            self.send(json!({"do": name, "of": [item]}));
        }
    }

    pub(crate) fn handle(&self, id: u64, handler: Arc<dyn Handler>) {
        let old = lock(&self.state).handlers.insert(id, handler);
        drop(old);
    }

    pub(crate) fn is_broken(&self) -> bool {
        lock(&self.state).pipes.is_none()
    }

    /// Sends a message that takes effect before time moves, also where a rule moves it by hand.
    pub(crate) fn send_now(&self, message: serde_json::Value) {
        self.send(message);
        if let Some((_, events)) = self.turn(None) {
            self.tell(events);
        }
    }

    /// Sends a message of a destructor: it takes effect at once, unless the world has ended.
    pub(crate) fn send_last(&self, message: serde_json::Value) {
        if World::current().is_some() {
            self.send_now(message);
        } else {
            self.send(message);
        }
    }

    /// Sends a message that is answered at once, by an event with its id. `None` if there is no such event in the same turn.
    fn answer(&self, id: u64, message: &serde_json::Value) -> Option<(String, Object)> {
        let answer = Arc::new(Answer::default());
        self.handle(id, answer.clone());
        self.send_now(message.clone());
        lock(&answer.0).take()
    }

    /// Sends a message that the adapter answers at once, by an event with its id.
    ///
    /// # Panics
    /// If the adapter is found wanting, with a verdict that [`take_verdict`] returns.
    pub(crate) fn ask(&self, id: u64, message: &serde_json::Value) -> (String, Object) {
        let answer = self.answer(id, message);
        answer.unwrap_or_else(|| self.refuse(&format!("it does not answer {message} in the same turn")))
    }

    /// As [`ask`](Self::ask), of a request that does not wait: without an answer it is the library that waits, and not the adapter.
    ///
    /// # Panics
    /// As [`ask`](Self::ask).
    pub(crate) fn ask_without_wait(&self, id: u64, message: &serde_json::Value) -> (String, Object) {
        self.answer(id, message).unwrap_or_else(|| {
            let waits = "it does not answer in the turn";
            self.fail(Verdict::fail("that a request that does not wait is answered at once", waits));
            self.unwind()
        })
    }

    /// Ends what runs, since the adapter does not keep the protocol.
    pub(crate) fn refuse(&self, what: &str) -> ! {
        self.fail_with(|pipes| pipes.bad(what));
        self.unwind()
    }

    /// Ends what runs, after a verdict on the adapter.
    pub(crate) fn unwind(&self) -> ! {
        // The panic is no news: the verdict is kept.
        resume_unwind(Box::new("the adapter was found wanting"))
    }

    /// From now on an adapter fails that does the same again and again without time.
    pub(crate) fn must_not_spin(&self) {
        lock(&self.state).spins.get_or_insert_default();
    }

    /// Whether it does the same again and again, at this time.
    fn spins(&self, at: Duration) -> bool {
        let turns = {
            let mut state = lock(&self.state);
            let Some((last, turns)) = &mut state.spins else { return false };
            *turns = if *last == at { *turns + 1 } else { 0 };
            *last = at;
            *turns
        };
        if turns > SPIN {
            self.fail(Verdict::fail("that time goes on", format_args!("{SPIN} turns at {at:?}")));
        }
        turns > SPIN
    }

    /// The rule fails, whatever else it finds.
    pub(crate) fn fail(&self, verdict: Verdict) {
        self.fail_with(|_| verdict);
    }

    /// One turn: as long as until this time, or none at all. `None` if the adapter is found wanting.
    fn turn(&self, until: Option<Duration>) -> Option<(Duration, Vec<Object>)> {
        let now = self.start.elapsed();
        let (mut pipes, mut queue) = {
            let mut state = lock(&self.state);
            (state.pipes.take()?, std::mem::take(&mut state.queue))
        };
        let mut all = Vec::new();
        let outcome = loop {
            let rest = queue.split_off(queue.len().min(MESSAGES));
            // It runs on behind the last message, unless something has happened before that.
            let until = until.filter(|_| rest.is_empty() && all.is_empty()).unwrap_or(now);
            match pipes.exchange(now, until, queue.into(), self.limit) {
                Ok((at, mut events)) => {
                    all.append(&mut events);
                    if rest.is_empty() {
                        break Ok((at, all));
                    }
                }
                Err(verdict) => break Err(verdict),
            }
            queue = rest;
        };
        match outcome {
            Ok(told) => {
                lock(&self.state).pipes = Some(pipes);
                Some(told)
            }
            Err(verdict) => {
                found(verdict);
                drop(pipes);
                self.tell_end();
                None
            }
        }
    }

    /// Tells events to their handlers.
    fn tell(&self, events: Vec<Object>) {
        for event in events {
            if let Err(what) = self.tell_one(&event) {
                let event = serde_json::Value::from(event);
                self.fail_with(|pipes| pipes.bad(&format!("{what}, in the event {event}")));
            }
        }
    }

    fn tell_one(&self, event: &Object) -> Result<(), String> {
        let name = event.text("event")?;
        if name == "failed" {
            // Nothing of it can be trusted any more.
            let verdict = Verdict::fail("no panic, no leak and no deadlock", event.text("says")?);
            self.fail_with(|_| verdict);
            return Ok(());
        }
        if name == "broken" {
            return Err(event.text("says")?.to_owned());
        }
        let id = event.number("id")?;
        let handler = lock(&self.state).handlers.get(&id).cloned();
        handler.ok_or_else(|| format!("there is no {id}"))?.event(name, event)
    }

    fn fail_with(&self, verdict: impl FnOnce(&Pipes) -> Verdict) {
        let pipes = lock(&self.state).pipes.take();
        if let Some(pipes) = pipes {
            let mut verdict = verdict(&pipes);
            if let Verdict::Fail { timeline, .. } = &mut verdict {
                let errors = pipes.errors_of_rule();
                add_to_trace(&errors);
                timeline.extend(errors);
            }
            found(verdict);
            drop(pipes);
        }
        self.tell_end();
    }

    fn tell_end(&self) {
        let handlers: Vec<Arc<dyn Handler>> = lock(&self.state).handlers.values().cloned().collect();
        handlers.iter().for_each(|handler| handler.broken());
    }

    /// Nothing of the rule is left.
    pub(crate) fn close(&self) {
        let handlers: Vec<Arc<dyn Handler>> = {
            let mut state = lock(&self.state);
            state.is_closed = true;
            state.handlers.values().cloned().collect()
        };
        handlers.iter().for_each(|handler| handler.closed());
        self.closed.notify_one();
        self.said.notify_one();
    }

    /// Opens it, or opens it again in the same world: the implementation has kept its state. Returns whether it is to
    /// be driven.
    pub(crate) fn open(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_closed = false;
        !std::mem::replace(&mut state.is_driven, true)
    }

    /// Ends the rule for the adapter. Returns it, if it can be used again.
    pub(crate) fn finish(&self) -> Option<Pipes> {
        self.send(json!({"do": "end"}));
        let (_, events) = self.turn(None)?;
        // Calls that end with the rule tell nothing, but a runtime that has failed does.
        for event in events.iter().filter(|event| event.text("event") == Ok("failed")) {
            let _ = self.tell_one(event);
        }
        let (handlers, pipes) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.handlers), state.pipes.take())
        };
        drop(handlers);
        pipes
    }
}

impl Apart for Link {
    fn flush(&self, in_any_case: bool) -> bool {
        let is_due = in_any_case || !lock(&self.state).queue.is_empty();
        if !is_due || self.spins(self.start.elapsed()) {
            return false;
        }
        let told = self.turn(None);
        told.is_some_and(|(_, events)| {
            self.tell(events);
            true
        })
    }

    fn signal(&self, name: &str) {
        self.send_now(json!({"do": "signal", "name": name}));
    }
}

/// The answer to a question.
#[derive(Default)]
struct Answer(Mutex<Option<(String, Object)>>);

impl Handler for Answer {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        *lock(&self.0) = Some((name.to_owned(), event.clone()));
        Ok(())
    }
}
