//! The errors of all crates: the text of an error does not have that of its source, which printers print behind it.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt, fs,
    future::{pending, ready},
    path::{Path, PathBuf},
    time::Duration,
};

use evenkeel::{
    limit::{
        Rate,
        distributed::{
            Distributed,
            store::{Store, Take, Taken},
        },
        tower::LimitError,
    },
    pipeline::{Ack, Delivery, Demand, Pipeline, Settle, SettleOutcome, Source, SourceError},
    pool::{GetError, Manager, Pool},
    postgres::{ConnectError, Database},
    retry::{Hedge, Policy, RetryError},
    stream::{paginate, prelude::*},
    task::{BoxError, first_ok, group, using},
};
use evenkeel_testkit::World;
use futures::StreamExt as _;

/// The errors with a source whose values are made below, by their names.
const MADE: [&str; 20] = [
    "AllFailed",
    "BoxedError",
    "ConnectError",
    "CreateError",
    "Error of limit",
    "Error of postgres",
    "Failure",
    "GetError",
    "GroupError",
    "HedgeError",
    "HostError",
    "ItemError",
    "LimitError",
    "OneFailed",
    "PageError",
    "PipelineError",
    "RetryError",
    "SourceError",
    "Timeout",
    "UsingError",
];

/// The names of those that need a server: the tests of evenkeel-postgres look at each chain in the same way.
const OF_SERVERS: [&str; 2] = ["TlsError", "ValueError"];

const MS: fn(u64) -> Duration = Duration::from_millis;

/// An error of two layers.
#[derive(Debug)]
struct Refused(fmt::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was refused")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn refused() -> Refused {
    Refused(fmt::Error)
}

/// Returns the texts of an error and its sources. Asserts that none has those below it at its end.
#[track_caller]
fn texts(error: &dyn Error) -> Vec<String> {
    let texts: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    for index in 1..texts.len() {
        let (text, rest) = (&texts[index], texts[index..].join(": "));
        let repeats = |above: &String| above.ends_with(text) || above.ends_with(&rest);
        assert!(!texts[..index].iter().any(repeats), "{texts:#?}");
    }
    texts
}

/// Asserts that each text is there once in the chain of an error, which ends with that of [`Refused`].
#[track_caller]
fn assert_once(error: &dyn Error) {
    let texts = texts(error);
    let told = texts.join(": ");
    for part in ["it was refused", &fmt::Error.to_string()] {
        assert_eq!(told.matches(part).count(), 1, "{texts:#?}");
    }
}

#[test]
fn retries_and_hedges() {
    World::run(async |_| {
        let fails = async || Err::<(), _>(refused());
        let policy = Policy::fixed(MS(1)).max_attempts(2);
        assert_once(&policy.run(fails).await.unwrap_err());
        let boxed = async || Err::<(), BoxError>(refused().into());
        assert_once(&policy.run(boxed).await.map_err(RetryError::boxed).unwrap_err());
        assert_once(&Hedge::after(MS(1)).run(fails).await.unwrap_err());
    });
}

#[test]
fn tasks() {
    World::run(async |_| {
        let error = group(async |g| {
            g.spawn(async { Err::<(), BoxError>(refused().into()) });
            pending::<Result<(), BoxError>>().await
        });
        let error = error.await.unwrap_err();
        assert_once(&error);
        assert_once(error.failures().next().unwrap());
        let nested = group(async |g| {
            g.spawn(async { group(async |_| Err::<(), BoxError>(refused().into())).await });
            Ok::<_, BoxError>(())
        });
        let nested = nested.await.unwrap_err();
        assert_once(&nested);
        let told = format!("{nested:#}");
        assert_eq!(told.matches("it was refused").count(), 1, "{told}");

        assert_once(&first_ok([ready(Err::<(), _>(refused()))]).await.unwrap_err());
        assert_once(
            &using(ready(Err::<(), _>(refused())), async |()| (), async |_| Ok(())).await.unwrap_err(),
        );
        let body = async |_| Err::<(), BoxError>(refused().into());
        assert_once(&using(ready(Ok::<_, BoxError>(())), async |()| (), body).await.unwrap_err());
    });
}

#[test]
fn streams() {
    World::run(async |_| {
        let pages = paginate(1, async |_| Err::<(Vec<u8>, Option<i32>), _>(refused()));
        let mut pages = std::pin::pin!(pages);
        assert_once(&pages.next().await.unwrap().unwrap_err());
        let items = futures::stream::iter([Ok::<_, Refused>(1)])
            .try_par_map(1, async |_| Err::<(), _>(refused()))
            .settled();
        let mut items = std::pin::pin!(items);
        assert_once(&items.next().await.unwrap().unwrap_err());
    });
}

struct Broken {
    is_misconfigured: bool,
}

impl Store for Broken {
    type Error = Refused;

    async fn take(&self, _: Take<'_>) -> Result<Taken, Refused> {
        Err(refused())
    }

    fn is_misconfigured(&self, _: &Refused) -> bool {
        self.is_misconfigured
    }
}

#[test]
fn limits() {
    World::run(async |_| {
        for is_misconfigured in [false, true] {
            let quota = Distributed::new(Broken { is_misconfigured }, "partner", Rate::per_second(1));
            assert_once(&quota.acquire().await.unwrap_err());
        }
        assert_once(&LimitError::Service(refused()));
    });
}

struct NoObjects;

impl Manager for NoObjects {
    type Object = ();
    type Error = Refused;

    async fn create(&self) -> Result<(), Refused> {
        Err(refused())
    }

    fn is_transient(&self, _: &Refused) -> bool {
        true
    }
}

#[test]
fn pools() {
    World::run(async |_| {
        let pool = Pool::builder(NoObjects).max(1).acquire_timeout(MS(100)).build().unwrap();
        let error = pool.get().await.unwrap_err();
        let GetError::Timeout(why) = &error else { panic!("{error:?}") };
        assert_once(&error);
        assert_once(&**why);
        assert_once(&GetError::Create(refused()));
        let pool = Pool::from_fn(async || Err::<(), _>(refused())).build().unwrap();
        assert_once(&pool.get().await.unwrap_err());
    });
}

/// Nobody listens at these addresses.
#[test]
fn databases() {
    World::run(async |_| {
        for hosts in ["/evenkeel/none", "/evenkeel/none,/evenkeel/neither"] {
            let config = format!("host={hosts} user=app dbname=app");
            let error = Database::builder(config.parse().unwrap()).acquire_timeout(MS(900)).connect().await;
            let error = error.unwrap_err();
            let chain = texts(&error);
            assert!(chain.len() > 2, "{chain:#?}");
            let mut causes = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
            let connect = causes.find_map(|cause| cause.downcast_ref::<ConnectError>()).unwrap();
            for host in &connect.hosts {
                assert!(texts(host).len() > 1);
            }
        }
    });
}

struct Gone;

impl Source for Gone {
    type Item = ();
    type Ack = Nothing;

    async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<(), u64>>, SourceError> {
        Err(SourceError::permanent(refused()))
    }

    fn ack(&self) -> Nothing {
        Nothing
    }
}

#[derive(Clone)]
struct Nothing;

impl Ack for Nothing {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn pipelines() {
    World::run(async |_| {
        assert_once(&SourceError::permanent(refused()));
        let work = async |()| Ok::<_, BoxError>(());
        assert_once(&Pipeline::from(Gone).stage("work", work).start().unwrap().await.unwrap_err());
        let merged = Pipeline::from(Gone).merge(Gone).stage("work", work).start().unwrap();
        let error = merged.await.unwrap_err();
        assert!(error.to_string().contains("source "), "{error}");
        assert_once(&error);
    });
}

/// The names of the error types with a source, in the sources of all crates. One named `Error` has that of its crate.
fn with_source() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for folder in fs::read_dir(crates).unwrap() {
        let folder = folder.unwrap().path();
        let of = folder.file_name().unwrap().to_str().unwrap().trim_start_matches("evenkeel-").to_owned();
        let mut paths = vec![folder.join("src")];
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.extend(names(&path).into_iter().map(|name| match &*name {
                    "Error" => format!("Error of {of}"),
                    _ => name,
                }));
            }
        }
    }
    found
}

fn names(path: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let before = text.split("fn source(&self) -> Option<").collect::<Vec<_>>();
    let heads = before[..before.len() - 1].iter().filter_map(|before| before.rsplit("Error for ").next());
    heads
        .filter_map(|head| head.split(|end: char| !end.is_alphanumeric()).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_error_with_a_source_is_left_out() {
    let known: BTreeSet<String> = MADE.iter().chain(&OF_SERVERS).map(ToString::to_string).collect();
    assert_eq!(with_source(), known);
}
