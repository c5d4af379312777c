//! `Script`: the replies to the statements that match.

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

/// The replies to the statements that match, in order.
///
/// Each reply is used once, and the last one forever, unless [`times`](Self::times) is set. When all are used up, the
/// next script that matches answers, or the tables.
///
/// It is a handle: the script is in force as soon as it has a reply, and can be changed at any time.
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
pub struct Script(pub(super) Arc<ScriptState>);

/// The server's part of a script.
pub(super) struct ScriptState {
    matches: Matches,
    shown: String,
    location: &'static Location<'static>,
    queue: Mutex<ReplyQueue>,
}

pub(super) enum Matches {
    Exact(String),
    Prefix(String),
    Sql(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// The statement with this number, counted from 1.
    Nth(usize),
    Every(usize),
}

#[derive(Default)]
struct ReplyQueue {
    replies: Vec<ScriptedReply>,
    /// The index of the next reply, and how often it was used.
    next: usize,
    used: usize,
    calls: usize,
    expected: Option<usize>,
    parameters: Vec<Type>,
}

struct ScriptedReply {
    reply: Reply,
    times: Option<usize>,
}

/// The description of a scripted statement before it runs.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) parameters: Vec<Type>,
    /// The columns, if the script says whether there are any.
    pub(super) fields: Option<Option<Vec<Field>>>,
}

impl Script {
    /// Sets the reply, in place of all replies before.
    pub fn reply(&mut self, reply: Reply) -> &mut Self {
        let mut queue = lock(&self.0.queue);
        (queue.replies, queue.next, queue.used) = (vec![], 0, 0);
        drop(queue);
        self.then(reply)
    }

    /// Adds this reply after the replies before.
    pub fn then(&mut self, reply: Reply) -> &mut Self {
        lock(&self.0.queue).replies.push(ScriptedReply { reply, times: None });
        self
    }

    /// Uses the last reply `times` times, even if none follows.
    ///
    /// # Panics
    ///
    /// If `times` is zero, or if there is no reply.
    #[track_caller]
    pub fn times(&mut self, times: usize) -> &mut Self {
        assert!(times > 0, "a reply that is given zero times");
        self.last(|last| last.times = Some(times))
    }

    /// Sets the latency of the last reply, as [`Reply::latency`] does.
    ///
    /// # Panics
    ///
    /// If there is no reply.
    #[track_caller]
    pub fn latency(&mut self, latency: Duration) -> &mut Self {
        self.last(|last| last.reply.latency = latency)
    }

    /// Sets the types of the parameters.
    ///
    /// Otherwise the types come from the client, a cast like `$1::int8`, or a table; else they are `text`.
    pub fn parameters(&mut self, types: &[Type]) -> &mut Self {
        lock(&self.0.queue).parameters = types.to_vec();
        self
    }

    /// Fails the test when the server is dropped, unless the script has answered exactly `statements` statements.
    pub fn expect(&mut self, statements: usize) -> &mut Self {
        lock(&self.0.queue).expected = Some(statements);
        self
    }

    #[track_caller]
    fn last(&mut self, change: impl FnOnce(&mut ScriptedReply)) -> &mut Self {
        let mut queue = lock(&self.0.queue);
        let Some(last) = queue.replies.last_mut() else {
            drop(queue);
            panic!("the script has no reply yet");
        };
        change(last);
        drop(queue);
        self
    }
}

impl ScriptState {
    pub(super) fn new(matches: Matches, shown: String, location: &'static Location<'static>) -> Self {
        ScriptState { matches, shown, location, queue: Mutex::default() }
    }

    /// Returns the reply to the statement with this number, if one is left.
    pub(super) fn answer(&self, sql: &str, number: usize) -> Option<Reply> {
        let is_match = match self.matches {
            Matches::Nth(nth) => nth == number,
            Matches::Every(every) => number.is_multiple_of(every),
            _ => self.matches_text(sql),
        };
        if is_match { lock(&self.queue).next() } else { None }
    }

    /// Describes a statement by the replies that are left.
    pub(super) fn describe(&self, sql: &str) -> Option<Described> {
        if !self.matches_text(sql) {
            return None;
        }
        let mut queue = lock(&self.queue);
        queue.advance();
        let left = queue.replies.get(queue.next..).filter(|left| !left.is_empty())?;
        let fields = left.iter().find_map(|last| match &last.reply.body {
            Body::Rows(fields, _) => Some(Some(fields.clone())),
            Body::Done(_) => Some(None),
            _ => None,
        });
        Some(Described { parameters: queue.parameters.clone(), fields })
    }

    /// Describes an expectation that was not met.
    pub(super) fn missed(&self) -> Option<String> {
        let queue = lock(&self.queue);
        let expected = queue.expected.filter(|expected| *expected != queue.calls)?;
        let ScriptState { shown, location, .. } = self;
        Some(format!("{shown} ({location}): expected {expected} statement(s), got {}", queue.calls))
    }

    fn matches_text(&self, sql: &str) -> bool {
        match &self.matches {
            Matches::Exact(text) => is_normal(sql, text),
            Matches::Prefix(prefix) => normal(sql).starts_with(prefix),
            Matches::Sql(matches) => matches(sql),
            Matches::Nth(_) | Matches::Every(_) => false,
        }
    }
}

impl ReplyQueue {
    fn next(&mut self) -> Option<Reply> {
        self.advance();
        let reply = self.replies.get(self.next)?.reply.clone();
        self.used += 1;
        self.calls += 1;
        Some(reply)
    }

    /// Moves to the first reply that is not used up.
    fn advance(&mut self) {
        while let Some(last) = self.replies.get(self.next) {
            let once = (self.next + 1 < self.replies.len()).then_some(1);
            if last.times.or(once).is_none_or(|times| self.used < times) {
                return;
            }
            (self.next, self.used) = (self.next + 1, 0);
        }
    }
}

/// Normalizes a statement for comparison: lower case, and single blanks.
pub(super) fn normal(sql: &str) -> String {
    let words: Vec<&str> = sql.trim_end_matches([';', ' ', '\n']).split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Whether a statement is this one, which is normalized.
fn is_normal(sql: &str, text: &str) -> bool {
    let words = sql.trim_end_matches([';', ' ', '\n']).split_whitespace();
    words.map(str::to_lowercase).eq(text.split_whitespace())
}

impl fmt::Debug for ScriptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.shown).finish()
    }
}
