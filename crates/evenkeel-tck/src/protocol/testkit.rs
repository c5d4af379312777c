//! Test kits in another process: programs as JSON, their events, and the end of the test.
//!
//! A kit has a clock of its own, so that of the protocol stands still: a test is one message, and all that came of it is the
//! answer. Both directions are here: `serve_kit.rs` is the side of an adapter in Rust.

use std::{panic::resume_unwind, sync::Mutex, time::Duration};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    children::IdleChildren,
    link::found,
    pipes::Pipes,
    process::Process,
    wire::{Members, Object, from_time, object},
};
use crate::{
    Adapter, AdapterError, Verdict,
    testkit::{Capability, Event, Program, Settings, Step, TestKit},
};

/// How long a test may take, in real time: kits hang where nothing can run any more.
const LIMIT: Duration = Duration::from_secs(5);

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("testkit", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        let settings = json!({
            "lasts": from_time(settings.lasts),
            "panics": settings.panics,
            "wall_limit": settings.wall_limit.map(from_time),
            "block_limit": settings.block_limit.map(from_time),
        });
        let (pipes, idle) = self.lend()?;
        Ok(Box::new(Remote { settings, pipes: Mutex::new(Some(pipes)), idle }))
    }
}

/// A kit in a child process, which goes back to the idle ones.
struct Remote {
    settings: Value,
    /// `None` if the child was found wanting.
    pipes: Mutex<Option<Pipes>>,
    idle: IdleChildren,
}

impl Drop for Remote {
    fn drop(&mut self) {
        let pipes = lock(&self.pipes).take();
        if let Some(pipes) = pipes {
            self.idle.give_back(pipes);
        }
    }
}

impl TestKit for Remote {
    fn run(&self, program: Program) {
        let Some(mut pipes) = lock(&self.pipes).take() else { return };
        let test =
            json!({"do": "test", "id": 1, "settings": self.settings, "program": steps(program.steps())});
        let messages = [json!({"do": "begin"}), test, json!({"do": "end"})].map(object).into();
        pipes.begin();
        let answer = pipes.exchange(Duration::ZERO, Duration::ZERO, messages, LIMIT);
        let ended =
            answer.and_then(|(_, events)| end(&program, &events).map_err(|what| what.verdict(&pipes)));
        match ended {
            Ok(failure) => {
                *lock(&self.pipes) = Some(pipes);
                if let Some(text) = failure {
                    resume_unwind(Box::new(text));
                }
            }
            // The panic is no news: the verdict is kept.
            Err(verdict) => {
                if let Verdict::NotExpressible(_) = verdict {
                    *lock(&self.pipes) = Some(pipes);
                }
                found(verdict);
                resume_unwind(Box::new("the adapter was found wanting"));
            }
        }
    }
}

/// A test without an end.
enum Unended {
    NotExpressible(String),
    Wrong(String),
}

impl Unended {
    fn verdict(self, pipes: &Pipes) -> Verdict {
        match self {
            Self::NotExpressible(why) => Verdict::NotExpressible(why),
            Self::Wrong(what) => pipes.bad(&what),
        }
    }
}

impl From<String> for Unended {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

/// Notes the events of a program. Returns the words with which the kit failed it.
fn end(program: &Program, events: &[Object]) -> Result<Option<String>, Unended> {
    for event in events {
        let noted = match event.text("event")? {
            "tested" => return Ok(event.text("failed").ok().map(str::to_owned)),
            "not expressible" => return Err(Unended::NotExpressible(event.text("says")?.to_owned())),
            "broken" => return Err(Unended::Wrong(event.text("says")?.to_owned())),
            "noted" => Event::Noted(event.small("number")?),
            "tick" => Event::Tick(event.small("number")?),
            "timed out" => Event::TimedOut,
            "panicked" => Event::Panicked(event.small("task")?),
            "dropped" => Event::Dropped,
            "blocking ended" => Event::BlockingEnded,
            other => return Err(format!("a test has no event {other:?}").into()),
        };
        program.note(event.time("time")?, noted);
    }
    Err("no event `tested`".to_owned().into())
}

/// An event, as its line has it.
pub(super) fn from_event(at: Duration, event: Event) -> Value {
    let time = from_time(at);
    match event {
        Event::Noted(number) => json!({"event": "noted", "time": time, "number": number}),
        Event::Tick(number) => json!({"event": "tick", "time": time, "number": number}),
        Event::TimedOut => json!({"event": "timed out", "time": time}),
        Event::Panicked(task) => json!({"event": "panicked", "time": time, "task": task}),
        Event::Dropped => json!({"event": "dropped", "time": time}),
        Event::BlockingEnded => json!({"event": "blocking ended", "time": time}),
    }
}

/// The steps of a message.
pub(super) fn read_steps(program: Option<&Value>) -> Result<Vec<Step>, String> {
    let steps = program.and_then(Value::as_array).ok_or("no list `program`")?;
    steps.iter().map(read_step).collect()
}

fn read_step(step: &Value) -> Result<Step, String> {
    let inner = || read_steps(step.get("program"));
    Ok(match step.text("do")? {
        "note" => Step::Note(step.small("number")?),
        "sleep" => Step::Sleep(step.time("time")?),
        "yield" => Step::Yield(step.small("times")?),
        "ticks" => Step::Ticks(step.time("every")?, step.small("count")?),
        "spawn" => Step::Spawn(step.small("task")?, inner()?),
        "join" => Step::Join(step.small("task")?),
        "abort" => Step::Abort(step.small("task")?),
        "timeout" => Step::Timeout(step.time("time")?, inner()?),
        "blocking" => Step::Blocking(step.time("time")?),
        "left blocking" => Step::LeftBlocking(step.time("time")?),
        "thread" => Step::Thread(step.time("time")?),
        "loopback" => Step::Loopback(usize::try_from(step.number("bytes")?).unwrap_or(usize::MAX)),
        "wait" => Step::Wait,
        "compute" => Step::Compute(step.time("time")?),
        "block" => Step::Block,
        "panic" => Step::Panic(step.text("text")?.to_owned()),
        "keep" => Step::Keep,
        "move" => Step::Move(step.time("time")?),
        "hold" => Step::Hold,
        "release" => Step::Release,
        "settle" => Step::Settle,
        other => return Err(format!("there is no step {other:?}")),
    })
}

fn steps(steps: &[Step]) -> Value {
    steps.iter().map(step).collect()
}

fn step(step: &Step) -> Value {
    match step {
        Step::Note(number) => json!({"do": "note", "number": number}),
        Step::Sleep(time) => json!({"do": "sleep", "time": from_time(*time)}),
        Step::Yield(times) => json!({"do": "yield", "times": times}),
        Step::Ticks(every, count) => json!({"do": "ticks", "every": from_time(*every), "count": count}),
        Step::Spawn(task, inner) => json!({"do": "spawn", "task": task, "program": steps(inner)}),
        Step::Join(task) => json!({"do": "join", "task": task}),
        Step::Abort(task) => json!({"do": "abort", "task": task}),
        Step::Timeout(time, inner) => {
            json!({"do": "timeout", "time": from_time(*time), "program": steps(inner)})
        }
        Step::Blocking(time) => json!({"do": "blocking", "time": from_time(*time)}),
        Step::LeftBlocking(time) => json!({"do": "left blocking", "time": from_time(*time)}),
        Step::Thread(time) => json!({"do": "thread", "time": from_time(*time)}),
        Step::Loopback(bytes) => json!({"do": "loopback", "bytes": bytes}),
        Step::Wait => json!({"do": "wait"}),
        Step::Compute(time) => json!({"do": "compute", "time": from_time(*time)}),
        Step::Block => json!({"do": "block"}),
        Step::Panic(text) => json!({"do": "panic", "text": text}),
        Step::Keep => json!({"do": "keep"}),
        Step::Move(time) => json!({"do": "move", "time": from_time(*time)}),
        Step::Hold => json!({"do": "hold"}),
        Step::Release => json!({"do": "release"}),
        Step::Settle => json!({"do": "settle"}),
    }
}
