//! A connection that ends at each statement of a queue in turn: before the statement is done, and behind it, with its answer.

use std::{
    collections::BTreeMap,
    env, io,
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_pipeline::{Message, PgJob, Pipeline};
use evenkeel_postgres::{
    Database,
    tokio_postgres::{Config, config::Host},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::sleep,
};

use crate::harness::{TestSchema, run_within, until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Before,
    Behind,
}

/// Passes everything on to the server, and ends the connection of the statement with a number.
struct Cutter {
    folder: PathBuf,
    config: Config,
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Cutter {
    fn new(schema: &TestSchema, name: &str, nth: u64, cut: Cut) -> Self {
        let [Host::Unix(server)] = schema.config.get_hosts() else {
            panic!("the server listens at a Unix socket")
        };
        let port = schema.config.get_ports().first().copied().unwrap_or(5432);
        let server = server.join(format!(".s.PGSQL.{port}"));
        let folder = env::temp_dir().join(format!("evenkeel-cut-{}-{name}", process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{port}"))).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn({
            let count = Arc::clone(&count);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = UnixStream::connect(&server).await else { continue };
                    tokio::spawn(pass(client, server, Arc::clone(&count), nth, cut));
                }
            }
        });
        let mut config = Config::new();
        let of = &schema.config;
        config.host_path(&folder).port(port).user(of.get_user().unwrap()).dbname(of.get_dbname().unwrap());
        Self { folder, config, count, task }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn pass(
    client: UnixStream,
    server: UnixStream,
    count: Arc<AtomicU64>,
    nth: u64,
    cut: Cut,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_cut = Arc::new(AtomicBool::new(false));
    let answers = tokio::spawn({
        let is_cut = Arc::clone(&is_cut);
        async move {
            let mut buffer = vec![0; 65_536];
            loop {
                match from_server.read(&mut buffer).await {
                    Ok(read @ 1..) if !is_cut.load(Relaxed) => to_client.write_all(&buffer[..read]).await?,
                    // The statement is done.
                    _ => return io::Result::Ok(()),
                }
            }
        }
    });
    let mut is_first = true;
    loop {
        // Only the first message has no letter.
        let letter = if is_first { 0 } else { from_client.read_u8().await? };
        let length = from_client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from_client.read_exact(&mut body).await?;
        // Sync and simple queries end a statement.
        let is_end = !is_first && matches!(letter, b'S' | b'Q');
        let is_it = is_end && count.fetch_add(1, Relaxed) + 1 == nth;
        if is_it && cut == Cut::Before {
            answers.abort();
            return Ok(());
        }
        is_cut.fetch_or(is_it, Relaxed);
        if !is_first {
            to_server.write_u8(letter).await?;
        }
        to_server.write_u32(length).await?;
        to_server.write_all(&body).await?;
        if is_it {
            let _ = answers.await;
            return Ok(());
        }
        is_first = false;
    }
}

/// Works off some jobs, and returns the number of statements that were seen.
async fn work(schema: Arc<TestSchema>, nth: u64, cut: Cut) -> u64 {
    let name = format!("{nth}{cut:?}");
    let cutter = Cutter::new(&schema, &format!("{}-{name}", schema.name), nth, cut);
    let db = Database::builder(cutter.config.clone()).max(4).build().unwrap();
    let queue = schema.queue_of(&db, &name);
    let job = |n: u32| PgJob::new(n.to_string()).dedup(n.to_string()).key(["a", "b"][n as usize % 2]);
    while queue.enqueue_many((0..4).map(job)).await.is_err() {}
    for n in 4..8 {
        while queue.enqueue(job(n)).await.is_err() {}
    }
    let runs = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&runs);
    let running = Pipeline::from(queue.source())
        .messages()
        .stage("work", async move |message: Message<Vec<u8>>| {
            let number: u32 = String::from_utf8(message.item).unwrap().parse().unwrap();
            noted.lock().unwrap().push((number, message.attempt));
            sleep(Duration::from_millis(5)).await;
            match (number, message.attempt) {
                (2, 1) | (3, _) => Err(io::Error::other("no")),
                _ => Ok(()),
            }
        })
        .max_attempts(2)
        .backoff(|_| Duration::from_millis(10))
        .dead_letter(queue.dead_letters())
        .start()
        .unwrap();
    let left = format!("select count(*) from {{s}}.job where queue = '{name}'");
    until(&format!("all of {name} is done"), async || schema.number(&left).await == 0).await;
    let report = running.drain(Duration::from_secs(20)).await.unwrap();
    assert_eq!(
        (report.left(), report.accepted),
        (0, report.acked + report.nacked + report.dead),
        "{name}: {report}"
    );
    let mut attempts = BTreeMap::<u32, Vec<u32>>::new();
    for (number, attempt) in runs.lock().unwrap().iter() {
        attempts.entry(*number).or_default().push(*attempt);
    }
    // The worker lives all the time, so that no job runs twice.
    let expected = (0..8).map(|n| (n, if n == 2 || n == 3 { vec![1, 2] } else { vec![1] })).collect();
    assert_eq!(attempts, expected, "{name}");
    for key in 0..2 {
        let order: Vec<u32> = runs.lock().unwrap().iter().map(|run| run.0).filter(|n| n % 2 == key).collect();
        assert!(order.is_sorted(), "{name}: {order:?}");
    }
    let dead = schema.queue_of(&schema.admin, &name).dead(10).await.unwrap();
    assert_eq!(
        dead.iter().map(|job| (&*job.payload, job.attempts)).collect::<Vec<_>>(),
        [(&b"3"[..], 2)],
        "{name}"
    );
    cutter.count.load(Relaxed)
}

#[test]
#[ignore = "soak"]
fn a_cut_at_any_statement_loses_no_job_and_runs_none_twice() {
    run_within(Duration::from_secs(900), |schema| async move {
        schema.queue("all").await;
        let statements = work(Arc::clone(&schema), 0, Cut::Before).await;
        let mut works = tokio::task::JoinSet::new();
        for nth in 1..=statements {
            for cut in [Cut::Before, Cut::Behind] {
                // Each has five connections.
                if works.len() == 10 {
                    works.join_next().await.unwrap().unwrap();
                }
                works.spawn(work(Arc::clone(&schema), nth, cut));
            }
        }
        while let Some(worked) = works.join_next().await {
            worked.unwrap();
        }
    });
}
