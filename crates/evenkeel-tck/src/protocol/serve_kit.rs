//! The adapter's side of the protocol in Rust, for a test kit.
//!
//! A test has a clock of its own, which the kit makes: so there is no world here, and a test is run within its turn.

use std::{
    io::{self, BufRead as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::{Value, json};

use super::{
    facts::claims,
    testkit::{from_event, read_steps},
    wire::{Members, Object, Turn, VERSION, object},
};
use crate::{
    Adapter, AdapterError,
    rule::{Runtime, panic_message},
    testkit::{Capability, Program, Settings},
};

/// Answers a suite in another process, over the standard input and output, for a test kit.
///
/// # Errors
/// If a line cannot be read or written, or is none of the protocol.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::{Adapter, protocol::serve_kit, testkit};
///
/// fn main_of_an_adapter(ours: &dyn Adapter<testkit::Settings>) -> std::io::Result<()> {
///     serve_kit("ours", "0.1.0", ours)
/// }
/// ```
pub fn serve_kit(library: &str, version: &str, kit: &dyn Adapter<Settings>) -> io::Result<()> {
    let mut before = None;
    for line in io::stdin().lock().lines() {
        let turn = Turn::read(&line?, "messages").map_err(io::Error::other)?;
        let events = turn.items.iter().flat_map(|message| match message.text("do") {
            Ok("hello") => vec![hello(library, version, kit)],
            _ => play(kit, message, &mut before),
        });
        let reply = Turn { items: events.map(object).collect(), ..turn }.reply();
        let mut output = io::stdout().lock();
        output.write_all(reply.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

/// Carries out a message: its events.
fn play(kit: &dyn Adapter<Settings>, message: &Object, before: &mut Before) -> Vec<Value> {
    match message.text("do") {
        Ok("test") => test(kit, message, before),
        Ok("begin" | "end") => Vec::new(),
        Ok(other) => vec![broken(&format!("a kit has no message {other:?}"))],
        Err(what) => vec![broken(&what)],
    }
}

fn broken(says: &str) -> Value {
    json!({"event": "broken", "says": says})
}

fn hello(library: &str, version: &str, kit: &dyn Adapter<Settings>) -> Value {
    json!({
        "event": "hello", "protocol": VERSION, "library": library, "version": version, "runtime": "Rust, tokio",
        "can": [Runtime::Cancel.name()],
        "testkit": claims(Capability::ALL, |one| kit.supports(one)),
    })
}

/// A test that was run, and how many of its events were told.
type Before = Option<(Program, usize)>;

/// Runs a test: its events, and its end. An event that the test before has noted since then is one of them.
fn test(kit: &dyn Adapter<Settings>, message: &Object, before: &mut Before) -> Vec<Value> {
    let (settings, steps) = match read(message) {
        Ok(read) => read,
        Err(what) => return vec![broken(&what)],
    };
    let kit = match kit.configure(&settings) {
        Ok(kit) => kit,
        Err(AdapterError::NotExpressible(why)) => {
            return vec![json!({"event": "not expressible", "says": why})];
        }
        Err(other) => return vec![broken(&format!("{other:?}"))],
    };
    let program = Program::new(steps);
    let run = catch_unwind(AssertUnwindSafe(|| kit.run(program.clone())));
    let failed = run.err().map(|payload| panic_message(&*payload));
    let events_of = |program: &Program| program.record().pick(|at, event| Some(from_event(at, *event)));
    let own = events_of(&program);
    let late = before.take().map(|(before, told)| events_of(&before).split_off(told));
    *before = Some((program, own.len()));
    let mut events: Vec<Value> = own.into_iter().chain(late.into_iter().flatten()).collect();
    events.push(json!({"event": "tested", "failed": failed}));
    events
}

fn read(message: &Object) -> Result<(Settings, Vec<crate::testkit::Step>), String> {
    let settings = message.get("settings").ok_or("no `settings`")?;
    let panics = settings.number("panics")?.try_into().unwrap_or(usize::MAX);
    let settings = Settings {
        lasts: settings.time("lasts")?,
        panics,
        wall_limit: settings.optional_time("wall_limit")?,
        block_limit: settings.optional_time("block_limit")?,
    };
    Ok((settings, read_steps(message.get("program"))?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::wire::object, broken, play};
    use crate::{
        Adapter, AdapterError,
        testkit::{Capability, Settings, TestKit},
    };

    struct NoKit;

    impl Adapter<Settings> for NoKit {
        fn supports(&self, _: Capability) -> Result<(), &'static str> {
            Err("it has nothing")
        }

        fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
            Err(AdapterError::NotExpressible("a test"))
        }
    }

    #[test]
    fn a_message_that_is_unknown_is_told() {
        let play = |message: Value| play(&NoKit, &object(message), &mut None);
        assert_eq!(play(json!({"do": "sunny"})), [broken("a kit has no message \"sunny\"")]);
        assert_eq!(play(json!({"do": "begin"})), [] as [Value; 0]);
        assert_eq!(play(json!({"id": 1})).len(), 1);
        assert_eq!(play(json!({"do": "test"})), [broken("no `settings`")]);
    }
}
