//! Pools over a function, as they are written first.

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_pool::{BoxError, CreateError, FromFn, GetError, Manager, Pool};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

struct Connection(u32);

async fn connect() -> io::Result<Connection> {
    Ok(Connection(7))
}

/// An error that is none of std's, as that of anyhow.
#[derive(Debug)]
struct Report(BoxError);

impl<E: Error + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Report> for BoxError {
    fn from(report: Report) -> Self {
        report.0
    }
}

async fn connect_or_report() -> Result<Connection, Report> {
    Ok(connect().await?)
}

struct App {
    pool: Pool<FromFn<Connection>>,
}

#[test]
fn functions_and_closures_of_all_kinds_create_objects() {
    World::run(async |_| {
        let url = String::from("db:5432");
        let (text, block) = (url.clone(), url.clone());
        let pools = [
            Pool::from_fn(connect).build(),
            Pool::from_fn(connect).max(3).build(),
            Pool::from_fn(|| async { connect().await }).build(),
            Pool::from_fn(async || connect().await).build(),
            Pool::from_fn(connect_or_report).build(),
            Pool::from_fn(async move || if text.is_empty() { Err("no address") } else { Ok(Connection(7)) })
                .build(),
            Pool::from_fn(move || {
                let url = block.clone();
                async move { if url.is_empty() { connect().await } else { Ok(Connection(7)) } }
            })
            .build(),
            Pool::from_fn(async || -> Result<_, BoxError> {
                let port: u32 = "7".parse()?;
                Ok(Connection(connect().await?.0.max(port)))
            })
            .build(),
        ];
        for pool in pools {
            let app = App { pool: pool.unwrap() };
            assert_eq!(app.pool.get().await.unwrap().0, 7);
            let spawned = app.pool.clone();
            assert_eq!(tokio::spawn(async move { spawned.get().await.unwrap().0 }).await.unwrap(), 7);
            assert_eq!(app.pool.snapshot().created, 1);
        }
    });
}

#[test]
fn it_is_called_for_each_object_and_its_time_is_that_of_a_creation() {
    World::run(async |_| {
        let calls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&calls);
        let pool = Pool::from_fn(async move || {
            sleep(Duration::from_millis(50)).await;
            io::Result::Ok(count.fetch_add(1, Relaxed))
        });
        let pool = pool.max(2).build().unwrap();
        let (first, second) = assert_took!(
            async { (pool.get().await.unwrap(), pool.get().await.unwrap()) },
            Duration::from_millis(100)
        );
        assert_eq!((*first, *second), (0, 1));
        drop(first);
        assert_eq!((*pool.get().await.unwrap(), calls.load(Relaxed)), (0, 2));
    });
}

#[test]
fn its_error_keeps_its_text_its_type_and_its_source() {
    World::run(async |_| {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("no session")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let pool = Pool::from_fn(async || Err::<(), _>(Outer(io::ErrorKind::ConnectionRefused.into())))
            .build()
            .unwrap();
        let error = pool.get().await.unwrap_err();
        let texts: Vec<_> = std::iter::successors(Some(&error as &dyn Error), |error| (**error).source())
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["could not create an object", "no session", "connection refused"]);
        let GetError::Create(CreateError(last)) = error else { panic!("{error}") };
        assert!(last.is::<Outer>());
        assert_eq!(format!("{:?}", CreateError(last)), "Outer(Kind(ConnectionRefused))");
    });
}

/// A manager whose own errors are none of std's.
struct Reporting;

impl Manager for Reporting {
    type Object = Connection;
    type Error = CreateError;

    async fn create(&self) -> Result<Connection, CreateError> {
        connect_or_report().await.map_err(|report| CreateError(report.into()))
    }
}

#[test]
fn a_manager_may_have_its_error_too() {
    World::run(async |_| {
        assert_eq!(Pool::builder(Reporting).build().unwrap().get().await.unwrap().0, 7);
    });
}
