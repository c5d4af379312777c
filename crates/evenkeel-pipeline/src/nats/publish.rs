//! Publications in a window, each confirmed; a full stream and a server that is away are waited for.
//!
//! The answers to the publications of a call come to one subscription, with the number of the publication in their subject.
//! A subscription is used again by later calls: the numbers go on, so that an answer that is late says nothing wrong.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::Mutex,
    time::Duration,
};

use async_nats::{
    Client, HeaderMap, HeaderName, HeaderValue, Message, PublishError, StatusCode, Subject, Subscriber,
    ToSubject,
    jetstream::{ErrorCode, context::GetStreamByNameErrorKind, publish::PublishAck, response::Response},
};
use bytes::Bytes;
use evenkeel_base::{error_chain, lock};
use evenkeel_task::BoxError;
use futures_core::Stream as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};

use super::call::{CALL, new_context};
use crate::{SinkError, race::pause, random::Random};

/// The time for which a server may not answer before the items fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest pause before the next look at a full stream.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The largest window, far below the answers that the client queues.
const MAX_WINDOW: usize = 16_384;

/// The answer of a stream that has stored a message begins with it; that of one that has not, with the error.
const STORED: &[u8] = b"{\"stream\":";

/// A publication.
pub(super) struct Publication {
    pub(super) subject: Subject,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

enum Verdict {
    Done,
    /// The stream takes no more until something is removed.
    Full,
    /// It is not known whether it was stored.
    Unknown(String),
    /// No stream has its subject, or none that has a server at present.
    Unanswered,
    Failed(BoxError),
}

/// A window of publications.
pub(super) struct Publisher {
    client: Client,
    window: Semaphore,
    /// Subscriptions that no call uses at present.
    idle: Mutex<Vec<Answers>>,
}

/// A subscription for answers.
struct Answers {
    messages: Subscriber,
    /// The subject of an answer, up to the number of the publication.
    prefix: String,
    /// The number of the next publication.
    next: u64,
}

/// The publications of a call.
struct Call<'a> {
    client: &'a Client,
    /// Opened with the first publication.
    answers: Option<Answers>,
    /// The publications up to the last one that was sent, the oldest first; `None` is one that has its answer.
    under_way: VecDeque<Option<UnderWay<'a>>>,
}

struct UnderWay<'a> {
    index: usize,
    sent: Instant,
    _permit: SemaphorePermit<'a>,
}

/// The subject of the answer to a publication, made where it is used, so that it is not copied.
struct ReplySubject<'a> {
    prefix: &'a str,
    number: u64,
}

impl ToSubject for ReplySubject<'_> {
    fn to_subject(&self) -> Subject {
        Subject::from(format!("{}{}", self.prefix, self.number))
    }
}

impl Publisher {
    pub(super) fn new(client: Client, window: usize) -> Self {
        let window = Semaphore::new(window.min(MAX_WINDOW));
        Self { client, window, idle: Mutex::default() }
    }

    /// Publishes the items 0 to `count`, and returns when all are stored; the others are named in the error.
    ///
    /// An item that is published again is made again, since the first time is nearly always the last. `stored` is the error
    /// which says that it is stored already.
    pub(super) async fn publish_all(
        &self,
        count: usize,
        stored: Option<ErrorCode>,
        make: impl Fn(usize) -> Result<Publication, BoxError>,
    ) -> Result<(), SinkError> {
        let answers = lock(&self.idle).pop();
        let mut call = Call { client: &self.client, answers, under_way: VecDeque::new() };
        let mut waiting: Vec<usize> = (0..count).collect();
        let mut failed: Vec<(usize, BoxError)> = Vec::new();
        let mut unanswered_since = None;
        let mut rounds = 0;
        while !waiting.is_empty() {
            let (mut again, mut unanswered, mut unknown) = (Vec::new(), Vec::new(), None);
            let sent = waiting.len();
            let mut verdict = |(index, verdict)| match verdict {
                Verdict::Done => {}
                Verdict::Full => again.push(index),
                Verdict::Unknown(error) => {
                    again.push(index);
                    unknown = Some(error);
                }
                Verdict::Unanswered => unanswered.push(index),
                Verdict::Failed(error) => failed.push((index, error)),
            };
            for index in waiting {
                let permit = loop {
                    if let Ok(permit) = self.window.try_acquire() {
                        break Ok(permit);
                    }
                    // Waiting for other calls with answers of our own to come, each might wait for the other.
                    match call.next_answer(stored).await {
                        Some(answer) => verdict(answer),
                        None => break self.window.acquire().await,
                    }
                };
                let sent = match (make(index), permit) {
                    (Ok(publication), Ok(permit)) => call.send(index, publication, permit).await,
                    (Err(error), _) => Err(Verdict::Failed(error)),
                    (_, Err(closed)) => Err(Verdict::Failed(closed.into())),
                };
                if let Err(unsent) = sent {
                    verdict((index, unsent));
                }
            }
            while let Some(answer) = call.next_answer(stored).await {
                verdict(answer);
            }
            // Whether a subject has no stream; an API that does not answer is not asked for the next one.
            let (mut has_none, mut answers) = (BTreeMap::new(), true);
            for index in unanswered {
                let subject = match make(index) {
                    Ok(publication) => publication.subject,
                    Err(error) => {
                        failed.push((index, error));
                        continue;
                    }
                };
                if answers && !has_none.contains_key(&subject) {
                    let found = self.has_no_stream(&subject).await;
                    answers = found.is_some();
                    has_none.extend(found.map(|found| (subject.clone(), found)));
                }
                if has_none.get(&subject) == Some(&true) {
                    failed.push((index, "no stream has the subject".into()));
                } else {
                    again.push(index);
                    unknown = Some("the stream of the subject has no server at present".to_owned());
                }
            }
            match unknown {
                None => unanswered_since = None,
                Some(error) => {
                    let since = *unanswered_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE {
                        failed.extend(again.drain(..).map(|index| (index, error.clone().into())));
                    }
                }
            }
            if !again.is_empty() {
                rounds = if again.len() < sent { 1 } else { rounds + 1 };
                sleep(pause(rounds, &mut Random::unseeded()).min(LONGEST_PAUSE)).await;
            }
            waiting = again;
        }
        lock(&self.idle).extend(call.answers);
        match failed.pop() {
            None => Ok(()),
            Some((index, error)) => {
                let indices = failed.into_iter().map(|(index, _)| index).chain([index]);
                Err(SinkError::some(error, indices))
            }
        }
    }
}

impl Publisher {
    /// Whether there is no stream with a subject: one that has lost its leader in a cluster is there, and gets another one.
    /// `None` if the API does not answer.
    async fn has_no_stream(&self, subject: &Subject) -> Option<bool> {
        match new_context(&self.client).stream_by_subject(subject.as_str()).await {
            Ok(_) => Some(false),
            Err(error) if error.kind() == GetStreamByNameErrorKind::Request => None,
            Err(error) => Some(error.kind() == GetStreamByNameErrorKind::NotFound),
        }
    }
}

impl<'a> Call<'a> {
    async fn send(
        &mut self,
        index: usize,
        publication: Publication,
        permit: SemaphorePermit<'a>,
    ) -> Result<(), Verdict> {
        let Publication { subject, headers, payload } = publication;
        if !is_publishable(&subject) {
            return Err(Verdict::Failed(format!("{subject:?} is no subject to publish to").into()));
        }
        let sent = Instant::now();
        let client = self.client;
        let publish = async {
            let answers = match &mut self.answers {
                Some(answers) => answers,
                none => none.insert(Answers::open(client).await?),
            };
            let reply = ReplySubject { prefix: &answers.prefix, number: answers.next };
            let published = if headers.is_empty() {
                client.publish_with_reply(subject, reply, payload).await
            } else {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            };
            published.map_err(|error: PublishError| BoxError::from(error))?;
            answers.next += 1;
            Ok(())
        };
        match timeout_at(sent + CALL, publish).await {
            Ok(Ok(())) => {
                self.under_way.push_back(Some(UnderWay { index, sent, _permit: permit }));
                Ok(())
            }
            Ok(Err(error)) => Err(Verdict::Failed(error)),
            Err(_) => Err(Verdict::Unknown("the client of the NATS server does not answer".to_owned())),
        }
    }

    /// Waits for an answer, until that to the oldest publication is late; `None` if none is under way.
    async fn next_answer(&mut self, stored: Option<ErrorCode>) -> Option<(usize, Verdict)> {
        loop {
            while let Some(None) = self.under_way.front() {
                self.under_way.pop_front();
            }
            let oldest = self.under_way.front()?.as_ref()?;
            let answers = self.answers.as_mut()?;
            let answer = poll_fn(|cx| Pin::new(&mut answers.messages).poll_next(cx));
            let verdict = match timeout_at(oldest.sent + CALL, answer).await {
                Ok(Some(message)) => {
                    let number = message.subject.strip_prefix(&answers.prefix);
                    let number = number.and_then(|number| number.parse::<u64>().ok());
                    // Counted from the last one that was sent; a smaller number is that of a publication that was given up.
                    let behind = number.and_then(|number| answers.next.checked_sub(number));
                    let place = behind.and_then(|behind| {
                        self.under_way.len().checked_sub(usize::try_from(behind).unwrap_or(usize::MAX))
                    });
                    let answered = place.and_then(|place| self.under_way.get_mut(place)?.take());
                    answered.map(|answered| (answered.index, judge(&message, stored)))
                }
                late => self.under_way.pop_front().flatten().map(|oldest| {
                    let why = match late {
                        Err(_) => "the server has not confirmed in time",
                        Ok(_) => "the client of the NATS server is closed",
                    };
                    (oldest.index, Verdict::Unknown(why.to_owned()))
                }),
            };
            if verdict.is_some() {
                return verdict;
            }
        }
    }
}

impl Answers {
    async fn open(client: &Client) -> Result<Self, BoxError> {
        let prefix = format!("{}.", client.new_inbox());
        let messages = client.subscribe(format!("{prefix}*")).await?;
        Ok(Self { messages, prefix, next: 1 })
    }
}

fn judge(answer: &Message, stored: Option<ErrorCode>) -> Verdict {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Verdict::Unanswered;
    }
    if answer.payload.starts_with(STORED) {
        return Verdict::Done;
    }
    match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
        Ok(Response::Ok(_)) => Verdict::Done,
        Ok(Response::Err { error }) => match error.error_code() {
            code if Some(code) == stored => Verdict::Done,
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Verdict::Full,
            // Another one of the subject is on its way through the cluster.
            ErrorCode::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY => Verdict::Unknown(error.to_string()),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT if stored.is_some() => {
                Verdict::Unknown(error.to_string())
            }
            _ if error.code() >= 500 => Verdict::Unknown(error.to_string()),
            _ => Verdict::Failed(error.into()),
        },
        Err(error) => {
            Verdict::Failed(format!("the answer is none of a stream: {}", error_chain(&error)).into())
        }
    }
}

/// Whether a server takes it for the subject of a message; at another one it closes the connection of all.
fn is_publishable(subject: &str) -> bool {
    let is_token = |token: &str| {
        !matches!(token, "" | "*" | ">") && !token.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    subject.split('.').all(is_token)
}

/// A header whose value may be any text.
pub(super) fn header(
    headers: &mut HeaderMap,
    name: impl Into<HeaderName>,
    text: &str,
) -> Result<(), BoxError> {
    let value: HeaderValue = text.parse().map_err(|error| format!("{text:?} cannot be a header: {error}"))?;
    headers.insert(name.into(), value);
    Ok(())
}
