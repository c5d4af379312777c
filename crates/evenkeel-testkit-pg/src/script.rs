//! Which statements are answered by a script, and how.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use tokio_postgres::types::Type;

use super::{
    reply::{Body, Reply},
    store::Field,
};

/// The replies to some statements, in order.
///
/// Each reply is given once, and the last one for ever; [`times`](Self::times) says otherwise. When all are
/// given, the script answers no more, and the next one that fits does, or the tables.
///
/// It is a handle: the script is in force as soon as it has a reply, and may be changed while it is.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet};
/// use evenkeel_testkit_pg::{Reply, Server};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     server.setup("create table users (id int8 primary key, name text)");
///     // Two conflicts, and then the table.
///     server.on_prefix("insert into users").reply(Reply::error("40001")).times(2).expect(2);
///
///     let client = server.client().await.unwrap();
///     let mut codes = vec![];
///     for _ in 0..3 {
///         let inserted = client.execute("insert into users values ($1, $2)", &[&1_i64, &"Ada"]).await;
///         codes.push(inserted.map_err(|error| error.code().unwrap().code().to_owned()));
///     }
///     assert_eq!(codes, [Err("40001".to_owned()), Err("40001".to_owned()), Ok(1)]);
/// });
/// ```
#[derive(Debug)]
pub struct Script(Arc<ScriptEntry>);

/// What the server keeps of a script.
pub(super) struct ScriptEntry {
    matches: Matches,
    shown: String,
    location: &'static Location<'static>,
    steps: Mutex<ScriptState>,
}

pub(super) enum Matches {
    Exact(String),
    Prefix(String),
    Sql(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// The statement of this number, counted from 1.
    Nth(usize),
    Every(usize),
}

#[derive(Default)]
struct ScriptState {
    steps: Vec<ScriptedReply>,
    /// The step that is next, and how often it was taken.
    at: usize,
    taken: usize,
    calls: usize,
    expected: Option<usize>,
    parameters: Vec<Type>,
}

struct ScriptedReply {
    reply: Reply,
    times: Option<usize>,
}

/// What is known of a scripted statement before it runs.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) parameters: Vec<Type>,
    /// The columns, if the script knows whether there are any.
    pub(super) fields: Option<Option<Vec<Field>>>,
}

impl Script {
    pub(super) fn new(entry: Arc<ScriptEntry>) -> Self {
        Script(entry)
    }

    /// Gives this reply, in location of all before.
    pub fn reply(&mut self, reply: Reply) -> &mut Self {
        let mut script = lock(&self.0.steps);
        (script.steps, script.at, script.taken) = (vec![], 0, 0);
        drop(script);
        self.then(reply)
    }

    /// Gives this reply after those before.
    pub fn then(&mut self, reply: Reply) -> &mut Self {
        lock(&self.0.steps).steps.push(ScriptedReply { reply, times: None });
        self
    }

    /// Gives the last reply so often, even if none follows.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or if there is no reply.
    #[track_caller]
    pub fn times(&mut self, times: usize) -> &mut Self {
        assert!(times > 0, "a reply that is given zero times");
        self.last(|step| step.times = Some(times))
    }

    /// Sets the latency of the last reply, as [`Reply::latency`] does.
    ///
    /// # Panics
    ///
    /// If there is no reply.
    #[track_caller]
    pub fn latency(&mut self, latency: Duration) -> &mut Self {
        self.last(|step| step.reply.latency = latency)
    }

    /// Sets the types of the parameters.
    ///
    /// Without it they are what the client asks for, what a cast like `$1::int8` or a table says, or else
    /// `text`.
    pub fn parameters(&mut self, types: &[Type]) -> &mut Self {
        lock(&self.0.steps).parameters = types.to_vec();
        self
    }

    /// Lets the test fail, when the server is dropped, unless the script has answered so many statements.
    pub fn expect(&mut self, statements: usize) -> &mut Self {
        lock(&self.0.steps).expected = Some(statements);
        self
    }

    #[track_caller]
    fn last(&mut self, change: impl FnOnce(&mut ScriptedReply)) -> &mut Self {
        let mut script = lock(&self.0.steps);
        let Some(step) = script.steps.last_mut() else {
            drop(script);
            panic!("the script has no reply yet");
        };
        change(step);
        drop(script);
        self
    }
}

impl ScriptEntry {
    pub(super) fn new(matches: Matches, shown: String, location: &'static Location<'static>) -> Self {
        ScriptEntry { matches, shown, location, steps: Mutex::default() }
    }

    /// The reply to the statement of this number, if there is one left.
    pub(super) fn answer(&self, sql: &str, number: usize) -> Option<Reply> {
        let fits = match self.matches {
            Matches::Nth(nth) => nth == number,
            Matches::Every(every) => number.is_multiple_of(every),
            _ => self.fits(sql),
        };
        if fits { lock(&self.steps).next() } else { None }
    }

    /// What the replies that are left say about a statement.
    pub(super) fn describe(&self, sql: &str) -> Option<Described> {
        if !self.fits(sql) {
            return None;
        }
        let mut script = lock(&self.steps);
        script.advance();
        let left = script.steps.get(script.at..).filter(|left| !left.is_empty())?;
        let fields = left.iter().find_map(|step| match &step.reply.body {
            Body::Rows(fields, _) => Some(Some(fields.clone())),
            Body::Done(_) => Some(None),
            _ => None,
        });
        Some(Described { parameters: script.parameters.clone(), fields })
    }

    /// What was expected and did not happen.
    pub(super) fn missed(&self) -> Option<String> {
        let script = lock(&self.steps);
        let expected = script.expected.filter(|expected| *expected != script.calls)?;
        let ScriptEntry { shown, location, .. } = self;
        Some(format!("{shown} ({location}): expected {expected} statement(s), got {}", script.calls))
    }

    fn fits(&self, sql: &str) -> bool {
        match &self.matches {
            Matches::Exact(text) => normal(sql) == *text,
            Matches::Prefix(prefix) => normal(sql).starts_with(prefix),
            Matches::Sql(matches) => matches(sql),
            Matches::Nth(_) | Matches::Every(_) => false,
        }
    }
}

impl ScriptState {
    fn next(&mut self) -> Option<Reply> {
        self.advance();
        let reply = self.steps.get(self.at)?.reply.clone();
        self.taken += 1;
        self.calls += 1;
        Some(reply)
    }

    /// To the first reply that is not used up.
    fn advance(&mut self) {
        while let Some(step) = self.steps.get(self.at) {
            let once = (self.at + 1 < self.steps.len()).then_some(1);
            if step.times.or(once).is_none_or(|times| self.taken < times) {
                return;
            }
            (self.at, self.taken) = (self.at + 1, 0);
        }
    }
}

/// A statement without what does not matter: case, and how blank the blanks are.
pub(super) fn normal(sql: &str) -> String {
    let words: Vec<&str> = sql.trim_end_matches([';', ' ', '\n']).split_whitespace().collect();
    words.join(" ").to_lowercase()
}

impl fmt::Debug for ScriptEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.shown).finish()
    }
}
