//! The API: its documents, its faulty answers, and the rows that a harvest makes of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use evenkeel_testkit::http::{Call, Reply};
use tokio::time::Instant;

use super::plan::{Answer, Fault, Plan, ms};
use crate::{Random, Trace, checks::lock};

/// A document of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Document {
    /// Counted from 1.
    Page(u64),
    Orders(u64),
    Prefs(u64),
}

impl Document {
    /// Returns the document at this path.
    pub(super) fn at(path: &str) -> Option<Self> {
        let name = path.strip_prefix('/')?.strip_suffix(".json")?;
        if name == "users" {
            return Some(Self::Page(1));
        }
        if let Some(number) = name.strip_prefix("users-") {
            return number.parse().ok().map(Self::Page);
        }
        let (id, part) = name.strip_prefix("users/")?.split_once('/')?;
        let id = id.parse().ok()?;
        match part {
            "orders" => Some(Self::Orders(id)),
            "prefs" => Some(Self::Prefs(id)),
            _ => None,
        }
    }

    fn of(index: u64, plan: &Plan) -> Self {
        match (index % plan.documents()).checked_sub(plan.pages()) {
            None => Self::Page(index % plan.documents() + 1),
            Some(rest) if rest % 2 == 0 => Self::Orders(rest / 2 + 1),
            Some(rest) => Self::Prefs(rest / 2 + 1),
        }
    }

    fn index(self, plan: &Plan) -> u64 {
        match self {
            Self::Page(number) => number - 1,
            Self::Orders(id) => plan.pages() + 2 * (id - 1),
            Self::Prefs(id) => plan.pages() + 2 * (id - 1) + 1,
        }
    }
}

/// A user: id, name, email, active, theme, locale, newsletter.
pub(super) type UserRow = (i64, String, String, bool, Option<String>, Option<String>, Option<bool>);
/// An order: id, user, cents, currency.
pub(super) type OrderRow = (i64, i64, i64, String);

/// The API.
#[derive(Debug)]
pub(super) struct Site {
    seed: u64,
    plan: Plan,
    trace: Trace,
    start: Instant,
    answers: BTreeMap<(Document, u64), Answer>,
    missing: BTreeSet<Document>,
    /// The calls for each document.
    calls: Mutex<BTreeMap<Document, u64>>,
}

impl Site {
    pub(super) fn new(seed: u64, plan: Plan, faults: &[Fault], trace: &Trace) -> Self {
        let (mut answers, mut missing) = (BTreeMap::new(), BTreeSet::new());
        for fault in faults {
            match *fault {
                Fault::Answer { document, call, answer } => {
                    answers.insert((Document::of(document, &plan), call), answer);
                }
                Fault::Missing { document } => {
                    // A page that is missing is the end of the pages.
                    let document = Document::of(document, &plan);
                    missing.extend((!matches!(document, Document::Page(_))).then_some(document));
                }
                _ => {}
            }
        }
        let (trace, start) = (trace.clone(), Instant::now());
        Self { seed, plan, trace, start, answers, missing, calls: Mutex::default() }
    }

    pub(super) fn is_missing(&self, document: Document) -> bool {
        self.missing.contains(&document)
    }

    /// The wall clock of the world.
    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(2_000_000_000) + self.start.elapsed()
    }

    /// Answers a call.
    pub(super) fn answer(&self, call: &Call) -> Reply {
        let Some(document) = Document::at(call.path()).filter(|document| self.has(*document)) else {
            self.trace.reached("documents that are missing");
            return Reply::new(404);
        };
        let number = {
            let mut calls = lock(&self.calls);
            let calls = calls.entry(document).or_default();
            *calls += 1;
            *calls - 1
        };
        let mut random = Random::of(self.seed, &[1, document.index(&self.plan), number]);
        let latency = random.millis(self.plan.latency);
        let json = || Reply::new(200).header("content-type", "application/json").body(self.text(document));
        let answer = self.answers.get(&(document, number));
        if let Some(answer) = answer {
            self.trace.reached(answer.name());
        }
        let reply = match answer {
            None => json(),
            Some(answer) => match *answer {
                Answer::Status(status) => Reply::new(status),
                Answer::Unavailable(seconds) => Reply::new(503).retry_after(Duration::from_secs(seconds)),
                Answer::UnavailableUntil(seconds) => {
                    let date = httpdate::fmt_http_date(self.now() + latency + Duration::from_secs(seconds));
                    Reply::new(503).header("retry-after", &date)
                }
                Answer::TooMany(seconds) => Reply::new(429).retry_after(Duration::from_secs(seconds)),
                Answer::Exhausted(seconds) => Reply::new(403)
                    .header("x-ratelimit-remaining", "0")
                    .header("x-ratelimit-reset", &seconds.to_string()),
                Answer::Reset => Reply::reset(),
                Answer::Eof => Reply::eof(),
                Answer::ResetBody(bytes) => json().reset_body(bytes as usize),
                Answer::CutBody(bytes) => json().cut_body(bytes as usize),
                Answer::Stall => return json().latency(Duration::from_secs(3600)),
                Answer::Slow(bytes, every) => json().slow_body(bytes as usize, ms(every)),
                Answer::Garbage => Reply::garbage(),
            },
        };
        reply.latency(latency)
    }

    fn has(&self, document: Document) -> bool {
        let is_there = match document {
            Document::Page(number) => (1..=self.plan.pages()).contains(&number),
            Document::Orders(id) | Document::Prefs(id) => (1..=self.plan.users).contains(&id),
        };
        is_there && !self.is_missing(document)
    }

    fn text(&self, document: Document) -> String {
        let mut text = String::with_capacity(1024);
        match document {
            Document::Page(number) => {
                text.push_str(r#"{"items":["#);
                for (place, id) in self.users_of(number).enumerate() {
                    let (id, name, email, active, ..) = self.user(id);
                    let comma = if place == 0 { "" } else { "," };
                    let _ = write!(
                        text,
                        r#"{comma}{{"id":{id},"name":"{name}","email":"{email}","active":{active}}}"#
                    );
                }
                let next = match number < self.plan.pages() {
                    true => format!(r#""users-{}.json""#, number + 1),
                    false => "null".to_owned(),
                };
                let _ = write!(text, r#"],"next":{next}}}"#);
            }
            Document::Orders(user) => {
                let _ = write!(text, r#"{{"user":{user},"orders":["#);
                for (place, (id, _, cents, currency)) in self.orders(user).enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    let _ =
                        write!(text, r#"{comma}{{"order":{id},"cents":{cents},"currency":"{currency}"}}"#);
                }
                text.push_str("]}");
            }
            Document::Prefs(user) => {
                let (.., theme, locale, newsletter) = self.user(user);
                let (theme, locale) = (theme.unwrap_or_default(), locale.unwrap_or_default());
                let newsletter = newsletter == Some(true);
                let _ = write!(
                    text,
                    r#"{{"user":{user},"theme":"{theme}","locale":"{locale}","newsletter":{newsletter}}}"#
                );
            }
        }
        text
    }

    /// Returns the users on a page.
    pub(super) fn users_of(&self, page: u64) -> impl Iterator<Item = u64> {
        let first = (page - 1) * self.plan.page_size + 1;
        first..=(page * self.plan.page_size).min(self.plan.users)
    }

    /// Returns a user with all documents.
    pub(super) fn user(&self, id: u64) -> UserRow {
        let mut random = Random::of(self.seed, &[2, id]);
        let theme = random.one_of(&["light", "dark", "system"]).to_owned();
        let locale = random.one_of(&["en", "de", "pl"]).to_owned();
        (
            id as i64,
            format!("User {}", random.below(1_000_000)),
            format!("user{id}@example.test"),
            random.happens(800),
            Some(theme),
            Some(locale),
            Some(random.happens(300)),
        )
    }

    /// Returns the orders of a user.
    pub(super) fn orders(&self, user: u64) -> impl Iterator<Item = OrderRow> {
        let seed = self.seed;
        (0..Random::of(seed, &[3, user]).below(5)).map(move |number| {
            let mut random = Random::of(seed, &[4, user, number]);
            let currency = random.one_of(&["EUR", "USD", "JPY"]).to_owned();
            ((user * 100 + number) as i64, user as i64, random.below(50_000) as i64, currency)
        })
    }
}
