//! A scripted server in memory, which speaks the protocol of PostgreSQL and knows no SQL.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_postgres::{
    Builder, Database,
    deadpool_postgres::{Connect, Manager, ManagerConfig},
    tokio_postgres::{self, CancelToken, Client, Config, NoTls},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};

/// The answer to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Rows of one column.
    Rows(Vec<i32>),
    /// Texts of one column with this name.
    Texts(&'static str, Vec<&'static str>),
    /// This number of rows was changed.
    Count(u64),
    /// An error with this code.
    Refuse(&'static str),
    /// An error with this code, and the end of the connection.
    End(&'static str),
    /// This answer after this time, or an error when it is cancelled.
    After(Duration, Box<Answer>),
    /// This answer after this time; cancel requests are ignored.
    Pause(Duration, Box<Answer>),
    /// This answer, and then the end of the connection.
    Last(Box<Answer>),
    /// An error as a pooler sends it, with this code and text, and then nothing: the link is cut on its side alone.
    Pooler(&'static str, &'static str),
    /// No answer.
    Never,
    /// The end of the connection.
    Cut,
}

/// The outcome of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Greeting {
    /// An error with this code.
    Refuse(&'static str),
    /// An error as a pooler sends it, with this code and text.
    Pooler(&'static str, &'static str),
    /// Nothing listens: the connection is refused.
    NoListener,
    /// The attempt fails on the client's side, with this text.
    Fails(ErrorKind, &'static str),
    /// No answer.
    Silence,
}

type Script = Box<dyn FnMut(&str) -> Option<Answer> + Send>;

struct State {
    script: Script,
    greetings: VecDeque<Greeting>,
    log: Vec<String>,
    cancels: HashMap<i32, Arc<Notify>>,
    last: i32,
}

/// A handle: clones are the same server.
#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
}

impl Server {
    /// A server that asks the script for the answer to a statement. By default a `select` returns one row with a 1, and
    /// any other statement changes one row.
    pub(crate) fn new(script: impl FnMut(&str) -> Option<Answer> + Send + 'static) -> Self {
        let script: Script = Box::new(script);
        let (greetings, log, cancels) = (VecDeque::new(), Vec::new(), HashMap::new());
        Self { state: Arc::new(Mutex::new(State { script, greetings, log, cancels, last: 0 })) }
    }

    /// Replaces the script.
    pub(crate) fn told(&self, script: impl FnMut(&str) -> Option<Answer> + Send + 'static) {
        self.lock().script = Box::new(script);
    }

    /// A database of one connection at most.
    pub(crate) fn db(&self) -> Database {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> Builder {
        let mut config = Config::new();
        config.user("u").dbname("d");
        let server = self.clone();
        Database::over(Manager::from_connect(config, self.clone(), ManagerConfig::default()))
            .max(1)
            .cancel_with(move |token| server.clone().cancel(token))
    }

    /// Greets the next connections like this, and all later ones well.
    pub(crate) fn greet(&self, greetings: impl IntoIterator<Item = Greeting>) {
        self.lock().greetings.extend(greetings);
    }

    /// Returns the events since the last call: statements, with the number of their connection, and its begin and end.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, line: String) {
        self.lock().log.push(line);
    }

    pub(crate) async fn cancel(self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        let (ours, theirs) = duplex(1024);
        tokio::spawn(self.serve(theirs));
        token.cancel_query_raw(ours, NoTls).await
    }

    /// One connection, from its first byte to its last.
    async fn serve(self, stream: DuplexStream) {
        let mut link = Link { stream, answers: Vec::new() };
        let Ok(packet) = link.packet().await else { return };
        let mut numbers = packet.chunks_exact(4).map(|bytes| i32::from_be_bytes(bytes.try_into().unwrap()));
        if numbers.next() == Some(CANCEL) {
            let pid = numbers.next().unwrap();
            self.note(format!("{pid} cancel"));
            if let Some(cancel) = self.lock().cancels.get(&pid) {
                cancel.notify_waiters();
            }
            return;
        }
        let greeting = self.lock().greetings.pop_front();
        match greeting {
            None => {}
            Some(Greeting::Silence) => return drop(link.stream.read_to_end(&mut Vec::new()).await),
            Some(Greeting::Refuse(code)) => {
                link.error("FATAL", code);
                return drop(link.flush().await);
            }
            Some(Greeting::Pooler(code, text)) => {
                link.pooler_error(code, text);
                return drop(link.flush().await);
            }
            Some(Greeting::NoListener | Greeting::Fails(..)) => unreachable!("nobody serves"),
        }
        let (pid, cancel) = {
            let mut state = self.lock();
            state.last += 1;
            let (pid, cancel) = (state.last, Arc::new(Notify::new()));
            state.cancels.insert(pid, Arc::clone(&cancel));
            state.log.push(format!("{pid} begins"));
            (pid, cancel)
        };
        link.message(b'R', &0_i32.to_be_bytes());
        link.message(b'K', &[pid.to_be_bytes(), [0; 4]].concat());
        let served = Backend { server: &self, pid, cancel, link, statements: HashMap::new(), is_last: false }
            .serve()
            .await;
        drop(served);
        self.note(format!("{pid} ends"));
    }
}

const CANCEL: i32 = 80_877_102;
const INT4: i32 = 23;

struct Link {
    stream: DuplexStream,
    answers: Vec<u8>,
}

impl Link {
    async fn packet(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.stream.read_i32().await?).unwrap() - 4;
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    fn message(&mut self, kind: u8, body: &[u8]) {
        self.answers.push(kind);
        self.answers.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        self.answers.extend(body);
    }

    fn error(&mut self, severity: &str, code: &str) {
        self.message(b'E', format!("S{severity}\0V{severity}\0C{code}\0Mas told\0\0").as_bytes());
    }

    /// Without the field for the severity that is not translated.
    fn pooler_error(&mut self, code: &str, text: &str) {
        self.message(b'E', format!("SFATAL\0C{code}\0M{text}\0\0").as_bytes());
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&std::mem::take(&mut self.answers)).await
    }
}

struct Backend<'a> {
    server: &'a Server,
    pid: i32,
    cancel: Arc<Notify>,
    link: Link,
    statements: HashMap<String, String>,
    is_last: bool,
}

impl Backend<'_> {
    async fn serve(mut self) -> io::Result<()> {
        self.ready().await?;
        let (mut bound, mut failed) = (String::new(), false);
        loop {
            let kind = self.link.stream.read_u8().await?;
            let packet = self.link.packet().await?;
            let mut texts =
                packet.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            let mut text = || texts.next().unwrap();
            match kind {
                b'Q' => {
                    self.answer(&text(), true).await?;
                    self.ready().await?;
                }
                b'S' => {
                    failed = false;
                    self.ready().await?;
                }
                b'X' => return Ok(()),
                _ if failed => {}
                b'P' => {
                    let (name, sql) = (text(), text());
                    self.statements.insert(name, sql);
                    self.link.message(b'1', &[]);
                }
                b'D' => {
                    let sql = &self.statements[&text()[1..]];
                    let params = sql.matches('$').count();
                    let mut body = i16::try_from(params).unwrap().to_be_bytes().to_vec();
                    body.extend(INT4.to_be_bytes().repeat(params));
                    let rows = sql.starts_with("select");
                    self.link.message(b't', &body);
                    if rows {
                        self.link.message(b'T', &column("n"));
                    } else {
                        self.link.message(b'n', &[]);
                    }
                }
                b'B' => {
                    text();
                    bound = self.statements[&text()].clone();
                    self.link.message(b'2', &[]);
                }
                b'E' => failed = !self.answer(&bound, false).await?,
                b'C' => self.link.message(b'3', &[]),
                other => panic!("a message that was not expected: {}", char::from(other)),
            }
        }
    }

    async fn ready(&mut self) -> io::Result<()> {
        self.link.message(b'Z', b"I");
        self.link.flush().await?;
        if self.is_last { Err(ErrorKind::Other.into()) } else { Ok(()) }
    }

    fn rows(&mut self, values: impl ExactSizeIterator<Item = Vec<u8>>) {
        let tag = format!("SELECT {}\0", values.len());
        for value in values {
            let length = i32::try_from(value.len()).unwrap();
            let body = [&1_i16.to_be_bytes()[..], &length.to_be_bytes(), &value].concat();
            self.link.message(b'D', &body);
        }
        self.link.message(b'C', tag.as_bytes());
    }

    /// Sends the answer of the script; returns `false` after an error.
    async fn answer(&mut self, sql: &str, is_simple: bool) -> io::Result<bool> {
        let told = {
            let mut state = self.server.lock();
            state.log.push(format!("{} {sql}", self.pid));
            (state.script)(sql)
        };
        let by_itself = || if sql.starts_with("select") { Answer::Rows(vec![1]) } else { Answer::Count(1) };
        let mut answer = told.unwrap_or_else(by_itself);
        loop {
            match answer {
                Answer::After(time, later) => {
                    tokio::select! {
                        () = self.cancel.notified() => answer = Answer::Refuse("57014"),
                        () = sleep(time) => answer = *later,
                    }
                    continue;
                }
                Answer::Pause(time, later) => {
                    sleep(time).await;
                    answer = *later;
                    continue;
                }
                Answer::Last(last) => {
                    self.is_last = true;
                    answer = *last;
                    continue;
                }
                Answer::Rows(rows) if !is_simple => {
                    self.rows(rows.iter().map(|row| row.to_be_bytes().to_vec()));
                }
                Answer::Rows(rows) => {
                    self.link.message(b'T', &column("n"));
                    self.rows(rows.iter().map(|row| row.to_string().into_bytes()));
                }
                Answer::Texts(name, texts) => {
                    self.link.message(b'T', &column(name));
                    self.rows(texts.iter().map(|text| text.as_bytes().to_vec()));
                }
                Answer::Count(count) => self.link.message(b'C', format!("INSERT 0 {count}\0").as_bytes()),
                Answer::Refuse(code) => {
                    self.link.error("ERROR", code);
                    return Ok(false);
                }
                Answer::End(code) => {
                    self.link.error("FATAL", code);
                    self.link.flush().await?;
                    // The error and the end of the link do not arrive together.
                    sleep(Duration::from_millis(10)).await;
                    return Err(ErrorKind::Other.into());
                }
                Answer::Pooler(code, text) => {
                    self.link.pooler_error(code, text);
                    self.link.flush().await?;
                    answer = Answer::Never;
                    continue;
                }
                Answer::Never => {
                    // Until the other side has closed.
                    self.link.stream.read_to_end(&mut Vec::new()).await?;
                    return Err(ErrorKind::Other.into());
                }
                Answer::Cut => return Err(ErrorKind::Other.into()),
            }
            return Ok(true);
        }
    }
}

/// The description of one column of integers.
fn column(name: &str) -> Vec<u8> {
    let mut body = 1_i16.to_be_bytes().to_vec();
    body.extend(name.as_bytes());
    body.push(0);
    body.extend([0; 6]);
    body.extend(INT4.to_be_bytes());
    body.extend(4_i16.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(1_i16.to_be_bytes());
    body
}

type Connected = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Server {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let failure = {
                let greetings = &mut self.lock().greetings;
                let failure = match greetings.front() {
                    Some(Greeting::NoListener) => Some((ErrorKind::ConnectionRefused, "nobody listens")),
                    Some(Greeting::Fails(kind, text)) => Some((*kind, *text)),
                    _ => None,
                };
                if failure.is_some() {
                    greetings.pop_front();
                }
                failure
            };
            if let Some((kind, text)) = failure {
                self.note("nobody".to_owned());
                return match config.connect_raw(FailingStream(kind, text), NoTls).await {
                    Err(error) => Err(error),
                    Ok(_) => unreachable!("nobody is there"),
                };
            }
            let (ours, theirs) = duplex(64 * 1024);
            tokio::spawn(self.clone().serve(theirs));
            let (client, connection) = config.connect_raw(ours, NoTls).await?;
            Ok((client, tokio::spawn(async { drop(connection.await) })))
        })
    }
}

/// A stream that fails.
struct FailingStream(ErrorKind, &'static str);

impl FailingStream {
    fn fail<T>(&self) -> Poll<io::Result<T>> {
        Poll::Ready(Err(io::Error::new(self.0, self.1)))
    }
}

impl AsyncRead for FailingStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

impl AsyncWrite for FailingStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.fail()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
