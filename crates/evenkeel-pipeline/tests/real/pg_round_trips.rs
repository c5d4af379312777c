//! Calls counted on the wire: a socket between client and server counts the messages for which the client waits.

use std::{
    env,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use evenkeel_pipeline::{Ack as _, PgQueue, Settle, Source as _};
use evenkeel_postgres::{
    Database, Error, TxOptions,
    tokio_postgres::{Config, config::Host},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

use crate::harness::{pull, run};

/// Passes everything on to the server, and counts calls.
struct Between {
    folder: PathBuf,
    calls: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Between {
    fn listen(config: &Config) -> (Self, Config) {
        let [Host::Unix(server)] = config.get_hosts() else { panic!("the server listens at a Unix socket") };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let server = server.join(format!(".s.PGSQL.{port}"));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let folder = env::temp_dir().join(format!("evenkeel-calls-{}-{count}", process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let own = folder.join(format!(".s.PGSQL.{port}"));
        let _ = std::fs::remove_file(&own);
        let listener = UnixListener::bind(own).unwrap();
        let calls = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn({
            let calls = Arc::clone(&calls);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, server.clone(), Arc::clone(&calls)));
                }
            }
        });
        let mut through = Config::new();
        through
            .host_path(&folder)
            .port(port)
            .user(config.get_user().unwrap())
            .dbname(config.get_dbname().unwrap());
        (Self { folder, calls, task }, through)
    }

    fn calls(&self) -> u64 {
        self.calls.swap(0, Relaxed)
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn pass(client: UnixStream, server: impl AsRef<Path>, calls: Arc<AtomicU64>) {
    let server = UnixStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut is_first = true;
    loop {
        // Only the first message has no letter.
        let kind = if is_first { Ok(0) } else { from_client.read_u8().await };
        let (Ok(kind), Ok(length)) = (kind, from_client.read_u32().await) else { break };
        let mut body = vec![0; length as usize - 4];
        from_client.read_exact(&mut body).await.unwrap();
        // A synchronization, and a simple query: what the server answers to.
        if matches!(kind, b'S' | b'Q') {
            calls.fetch_add(1, Relaxed);
        }
        let mut message = Vec::new();
        if !is_first {
            message.push(kind);
        }
        message.extend(length.to_be_bytes());
        message.extend(body);
        is_first = false;
        if to_server.write_all(&message).await.is_err() {
            break;
        }
    }
    drop(to_server);
    answers.abort();
}

#[test]
#[ignore = "real tier"]
fn a_job_in_the_transaction_of_its_caller_is_one_round_trip_more() {
    run(|schema| async move {
        schema.queue("orders").await;
        schema
            .admin
            .batch_execute(&format!("create table {}.caused (at timestamptz)", schema.name))
            .await
            .unwrap();
        let (between, config) = Between::listen(&schema.config);
        let db = Database::builder(config).max(1).connect().await.unwrap();
        let queue = PgQueue::new(&db, "orders").schema(&schema.name);
        let run = async |jobs: u64| {
            between.calls();
            let done = db.transaction(TxOptions::new(), async |tx| {
                tx.execute(&format!("insert into {}.caused values (now())", schema.name), ()).await?;
                match jobs {
                    0 => {}
                    1 => drop(queue.enqueue_in(&tx, "a").await?),
                    _ => drop(queue.enqueue_many_in(&tx, (0..jobs).map(|n| n.to_string())).await?),
                }
                Ok::<_, Error>(())
            });
            done.await.unwrap();
            between.calls()
        };
        // The first calls prepare their statements; a connection is looked at now and then before it is lent.
        let least = async |jobs: u64| {
            let mut calls = u64::MAX;
            for _ in 0..5 {
                calls = calls.min(run(jobs).await);
            }
            calls
        };
        let bare = least(0).await;
        assert_eq!((least(1).await, least(1000).await), (bare + 1, bare + 1));
        drop(db);
    });
}

/// A statement that may leave something in its session costs another one, which resets it.
#[test]
#[ignore = "real tier"]
fn a_fetch_and_a_settlement_are_one_round_trip_each() {
    run(|schema| async move {
        let filled = schema.queue("orders").await;
        let (between, config) = Between::listen(&schema.config);
        let db = Database::builder(config).max(1).connect().await.unwrap();
        let mut source = PgQueue::new(&db, "orders").schema(&schema.name).source();
        let (mut fetch, mut settlement) = (u64::MAX, u64::MAX);
        // The first calls prepare their statements, and now and then a source looks after others.
        for _ in 0..10 {
            filled.enqueue_many(["a", "b", "c"]).await.unwrap();
            between.calls();
            let jobs = pull(&mut source, 10).await;
            fetch = fetch.min(between.calls());
            let batch: Vec<_> = jobs.iter().map(|job| (job.receipt, Settle::Ack)).collect();
            source.ack().settle(&batch).await.unwrap();
            settlement = settlement.min(between.calls());
        }
        assert_eq!((fetch, settlement), (1, 1));
        drop(db);
    });
}
