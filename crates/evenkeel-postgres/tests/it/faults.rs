//! Every call with a fault at every step of the protocol, and at every byte of the answers.
//!
//! Each run has a server of its own, two connections at most, and one fault. It checks that the error is the true one, that
//! the call ends in its time, that nothing is reported as stored that is not, that no error says of stored rows that they are
//! not, that the connection is replaced, and that the pool is whole again.

use std::{fmt::Debug, time::Duration};

use evenkeel_postgres::{
    Builder, Database, Error, SqlBatch, TxOptions,
    deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod},
    tokio_postgres::Config,
};
use evenkeel_testkit::{
    World,
    net::{MemNet, Toxics},
};
use evenkeel_testkit_pg::{Reply, ReplyFault, ReplyStep, Server, StatementOutcome, Type};
use futures::{FutureExt as _, TryStreamExt as _, future::BoxFuture, stream};
use tokio::time::{Instant, sleep, timeout};

/// The time after which a call is dropped.
const PATIENCE: Duration = Duration::from_secs(60);
/// The default of `Builder::cleanup_timeout`.
const CLEANUP: Duration = Duration::from_secs(5);
/// The default of `Builder::acquire_timeout`.
const ACQUIRE: Duration = Duration::from_secs(30);
const CODE: &str = "53200";
const FATAL_CODE: &str = "57P01";

/// A call, as the test makes it.
#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    run: fn(Database) -> BoxFuture<'static, Result<(), Error>>,
    effect: Effect,
}

/// The trace that a call leaves.
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    /// None.
    Reads,
    /// Rows of the table `t`.
    Stores,
    /// A commit; the statements are scripted.
    Commits,
    /// None, and a result of its own whatever happens.
    Nothing,
}

type Pair = (i64, Option<String>);

const READ: &str = "select id, name from r order by id";
const INSERT: &str = "insert into t (id, name) values ($1, $2)";
const TARGET: &str = "t (id, name)";

fn pairs() -> Vec<Pair> {
    vec![(1, Some("Ada".to_owned())), (2, None), (3, Some("Grace".to_owned()))]
}

fn same<T: PartialEq<U> + Debug, U: Debug>(found: T, expected: U) -> Result<(), Error> {
    assert_eq!(found, expected);
    Ok(())
}

macro_rules! calls {
    ($($name:ident $effect:ident |$db:ident| $call:expr;)*) => {
        [$(Call {
            name: stringify!($name),
            run: |$db| async move { $call.await }.boxed(),
            effect: Effect::$effect,
        }),*]
    };
}

fn calls() -> impl IntoIterator<Item = Call> {
    calls! {
        fetch_one Reads |db| async {
            let one: Pair = db.fetch_one("select id, name from r where id = $1", (1_i64,)).await?;
            same(vec![one], &pairs()[..1])
        };
        fetch_opt Reads |db| async {
            let none: Option<Pair> = db.fetch_opt("select id, name from r where id = $1", (4_i64,)).await?;
            same(none, None)
        };
        fetch_scalar Reads |db| async {
            let count: i64 = db.fetch_scalar("select count(*) from r", ()).await?;
            same(count, 3)
        };
        fetch_all Reads |db| async { same(db.fetch_all::<Pair>(READ, ()).await?, pairs()) };
        stream Reads |db| async {
            same(db.stream::<Pair>(READ, ()).try_collect::<Vec<_>>().await?, pairs())
        };
        copy_out Reads |db| async {
            same(db.copy_out::<Pair>(READ).try_collect::<Vec<_>>().await?, pairs())
        };
        copy_out_bytes Reads |db| async {
            let bytes: Vec<_> = db.copy_out_bytes("copy r to stdout").try_collect().await?;
            same(bytes.concat(), b"1\tAda\n2\t\\N\n3\tGrace\n")
        };
        execute Stores |db| async { same(db.execute(INSERT, (1_i64, "Ada")).await?, 1) };
        execute_many Stores |db| async { same(db.execute_many(INSERT, pairs()).await?, 3) };
        batch_execute Stores |db| async {
            db.batch_execute("insert into t values (1, 'Ada'); insert into t values (2, 'Bob')").await
        };
        batch Stores |db| async {
            let mut batch = SqlBatch::new();
            batch.push(INSERT, (1_i64, "Ada")).push(READ, ());
            let mut results = db.batch(batch).await?;
            same((results[0].affected(), results.remove(1).into_rows::<Pair>()?), (1, pairs()))
        };
        insert_many Commits |db| async { same(db.insert_many(TARGET, "", pairs()).await?, 3) };
        copy_in Stores |db| async {
            same(db.copy_in(TARGET, stream::iter(pairs())).await?, 3)
        };
        copy_in_bytes Stores |db| async {
            let lines = ["1\tAda\n", "2\t\\N\n"].map(|line| Ok::<_, std::io::Error>(line.into()));
            same(db.copy_in_bytes("copy t from stdin", stream::iter(lines)).await?, 2)
        };
        copy_upsert Commits |db| async {
            let rows = stream::iter(pairs());
            same(db.copy_upsert(TARGET, "on conflict do nothing", rows).await?, 3)
        };
        commit Stores |db| async {
            db.transaction(TxOptions::new(), async |tx| {
                assert_eq!(tx.execute(INSERT, (1_i64, "Ada")).await?, 1);
                assert_eq!(tx.fetch_all::<Pair>(READ, ()).await?, pairs());
                Ok(())
            }).await
        };
        commit_of_bulk_writes Stores |db| async {
            db.transaction(TxOptions::new(), async |tx| {
                assert_eq!(tx.copy_in(TARGET, stream::iter(pairs())).await?, 3);
                assert_eq!(tx.execute_many(INSERT, pairs()).await?, 3);
                let out: Vec<Pair> = tx.copy_out(READ).try_collect().await?;
                same(out, pairs())
            }).await
        };
        roll_back Nothing |db| async {
            let rolled_back = db.transaction(TxOptions::new(), async |tx| {
                tx.execute(INSERT, (1_i64, "Ada")).await?;
                Err::<(), _>(Error::RowCount(7))
            });
            match rolled_back.await {
                Err(Error::RowCount(7)) => Ok(()),
                other => other,
            }
        };
        check Reads |db| async { same(db.fetch_all::<Pair>(READ, ()).await?, pairs()) };
        reset Nothing |db| db.execute("set a = 1", ()).map(|result| result.map(drop));
        cancel Nothing |db| async {
            let slow = timeout(Duration::from_secs(1), db.execute("select pg_sleep(3600)", ()));
            slow.await.map_or(Ok(()), |early| early.map(drop))
        };
        failed_source Nothing |db| async {
            let torn = stream::iter([Ok((1_i64, "Ada")), Err(std::io::Error::other("torn"))]);
            match db.copy_in(TARGET, torn).await {
                Err(Error::Source(_)) => Ok(()),
                other => other.map(drop),
            }
        };
    }
}

/// The reply to a statement that the tables of the server do not understand.
fn scripted(sql: &str) -> Option<Reply> {
    let names = [("id", Type::INT8), ("name", Type::TEXT)];
    match sql {
        "select id, name from pg_temp.evenkeel_upsert" => Some(Reply::columns(&names)),
        sql if sql.contains("evenkeel_upsert") || sql.contains("unnest") => Some(Reply::affected(3)),
        sql if sql.contains("pg_advisory_unlock_all") => Some(Reply::columns(&[("unlock", Type::TEXT)])),
        sql if sql.contains("pg_prepared_statements") => Some(Reply::columns(&[("deallocate", Type::TEXT)])),
        _ => None,
    }
}

/// A database of two connections, one of which is made.
struct Rig {
    server: Server,
    db: Database,
}

impl Rig {
    async fn new(call: Call, set_up: impl FnOnce(&Server)) -> Self {
        let server = Server::mem(&MemNet::new(), "db.test").unwrap();
        server.setup(
            "create table t (id int8, name text); create table r (id int8, name text);
             insert into r values (1, 'Ada'), (2, null), (3, 'Grace')",
        );
        set_up(&server);
        for sql in [
            "select id, name from pg_temp.evenkeel_upsert",
            "evenkeel_upsert",
            "unnest",
            "pg_advisory_unlock_all",
            "pg_prepared_statements",
        ] {
            let matches = move |text: &str| text == sql || (!sql.contains(' ') && text.contains(sql));
            server.when(matches).reply(scripted(sql).unwrap());
        }
        let recycling_method = match call.name {
            "check" => RecyclingMethod::Verified,
            _ => RecyclingMethod::Fast,
        };
        let db = builder(&server, recycling_method).connect().await.unwrap();
        Self { server, db }
    }
}

fn builder(server: &Server, recycling_method: RecyclingMethod) -> Builder {
    let mut config = Config::new();
    config.user("app");
    let manager = Manager::from_connect(config, server.connector(), ManagerConfig { recycling_method });
    let connector = server.connector();
    Database::over(manager).max(2).cancel_with(move |token| {
        let connector = connector.clone();
        async move { connector.cancel(&token).await }
    })
}

/// The end of a call.
struct End {
    /// `None` if it was dropped.
    result: Option<Result<(), Error>>,
    took: Duration,
    stored: bool,
}

/// Makes the call, waits until the pool has recovered, and checks that it has.
async fn end_of(world: &World, call: Call, rig: &Rig, may_run_on: bool, what: &str) -> End {
    let Rig { server, db } = rig;
    let start = Instant::now();
    let result = timeout(PATIENCE, (call.run)(db.clone())).await.ok();
    let took = start.elapsed();
    // An abandoned statement is bounded, and so is a reset.
    if db.snapshot().in_use > 0 {
        sleep(CLEANUP).await;
    }
    world.settle().await;
    let snapshot = db.snapshot();
    assert_eq!((snapshot.in_use, snapshot.creating), (0, 0), "{what}: {snapshot:?}");
    server.link().heal();
    world.settle().await;
    // The server does not see that a client is gone before it has ended its statement. Neither a reset nor a commit is
    // canceled.
    let left = usize::from(may_run_on && server.connections() > snapshot.size);
    assert_eq!(server.connections(), snapshot.size + left, "{what}: a connection was left");
    let count: i64 = {
        let client = server.client().await.unwrap();
        client.query_one("select count(*) from t", &[]).await.unwrap().get(0)
    };
    let is_committed = |sql: &str, outcome: &StatementOutcome| {
        sql == "COMMIT" && *outcome == StatementOutcome::Done("COMMIT".to_owned())
    };
    let stored = match call.effect {
        Effect::Commits => server.statements().iter().any(|s| is_committed(&s.sql, &s.outcome)),
        _ => count > 0,
    };
    // Both connections serve.
    let second = "select pg_sleep(1)";
    let start = Instant::now();
    let (one, other) = tokio::join!(db.execute(second, ()), db.execute(second, ()));
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1), "{what}");
    assert_eq!(start.elapsed(), Duration::from_secs(1), "{what}");
    assert_eq!(db.snapshot().size, 2, "{what}");
    End { result, took, stored }
}

/// Checks everything but the error itself.
fn check(call: Call, end: &End, what: &str) {
    let End { result, stored, .. } = end;
    match (call.effect, result) {
        (Effect::Stores | Effect::Commits, Some(Ok(()))) => assert!(stored, "{what}: reported as stored"),
        (Effect::Stores | Effect::Commits, Some(Err(error))) if *stored => {
            assert!(error.is_connection_lost() || error.is_commit_unknown(), "{what}: stored, and {error:?}");
        }
        (Effect::Reads | Effect::Nothing, _) => assert!(!stored, "{what}"),
        _ => {}
    }
}

fn is_lost(result: &Option<Result<(), Error>>) -> bool {
    matches!(result, Some(Err(error)) if error.is_connection_lost())
}

/// The statements of a call without faults.
fn statements(call: Call) -> Vec<String> {
    let mut statements = Vec::new();
    World::run(async |world| {
        let rig = Rig::new(call, |_| {}).await;
        let result = timeout(PATIENCE, (call.run)(rig.db.clone())).await.unwrap();
        result.unwrap_or_else(|error| panic!("{}: {error:?}", call.name));
        world.settle().await;
        sleep(CLEANUP).await;
        statements = rig.server.statements().into_iter().map(|statement| statement.sql).collect();
    });
    statements
}

const STEPS: [ReplyStep; 5] = [
    ReplyStep::CopyResponse,
    ReplyStep::Rows(0),
    ReplyStep::Rows(1),
    ReplyStep::CommandComplete,
    ReplyStep::ReadyForQuery,
];
const FAULTS: [ReplyFault; 7] = [
    ReplyFault::Eof,
    ReplyFault::Reset,
    ReplyFault::Half,
    ReplyFault::Stall,
    ReplyFault::Error(CODE),
    ReplyFault::Fatal(FATAL_CODE),
    ReplyFault::Notices(500),
];

/// Tries each step that `is_tried` says, counted from 0, and returns the number of calls that failed.
pub(crate) fn at_steps(is_tried: impl Fn(usize) -> bool) -> usize {
    let (mut count, mut failed) = (0, 0);
    for call in calls() {
        let statements = statements(call);
        for (number, sql) in (1..).zip(&statements) {
            for (step, fault) in STEPS.iter().flat_map(|step| FAULTS.map(|fault| (*step, fault))) {
                // The server has committed by then, and cannot refuse it any more.
                if sql == "COMMIT" && matches!(fault, ReplyFault::Error(_)) {
                    continue;
                }
                let may_run_on = sql == "COMMIT"
                    || statements[..number].windows(2).any(|pair| pair == ["BEGIN", "ROLLBACK"])
                    || statements[number - 1..].starts_with(&["BEGIN".to_owned(), "ROLLBACK".to_owned()]);
                count += 1;
                failed +=
                    usize::from(is_tried(count - 1) && at_step(call, number, sql, may_run_on, step, fault));
            }
        }
    }
    failed
}

#[test]
fn a_fault_at_any_step_of_any_call_is_its_true_error_and_the_pool_is_whole_again() {
    let failed = at_steps(|number| number % 7 == 0);
    assert!(failed > 60, "the faults had no effect: {failed}");
}

/// Returns whether the fault had an effect on the call.
fn at_step(
    call: Call,
    number: usize,
    sql: &str,
    may_run_on: bool,
    step: ReplyStep,
    fault: ReplyFault,
) -> bool {
    let what = format!("{}: {fault:?} at {step:?} of statement {number}, {sql}", call.name);
    let mut effect = false;
    World::run(async |world| {
        let reply = scripted(sql).unwrap_or_else(Reply::run).fault(step, fault);
        let rig = Rig::new(call, |server| _ = server.on_nth(number).reply(reply.clone()).times(1)).await;
        let end = end_of(&world, call, &rig, may_run_on && fault == ReplyFault::Stall, &what).await;
        check(call, &end, &what);
        effect = !matches!(end.result, Some(Ok(())));
        match (&end.result, fault) {
            (Some(Ok(())), _) => {}
            (None, ReplyFault::Stall) => assert_eq!(end.took, PATIENCE, "{what}"),
            (Some(Err(error)), ReplyFault::Error(_)) => {
                assert_eq!(error.code().map(|code| code.code()), Some(CODE), "{what}: {error:?}");
                assert!(!end.stored, "{what}");
            }
            (Some(Err(error)), ReplyFault::Fatal(_)) => {
                assert!(error.is_connection_lost(), "{what}: {error:?}");
                // The client reads no answer before the end of a copy, and then it has no connection.
                let hides = sql.ends_with("from stdin") || sql.contains("from stdin (");
                let code = error.code().map(|code| code.code());
                assert!(code == Some(FATAL_CODE) || (hides && code.is_none()), "{what}: {error:?}");
            }
            (result, ReplyFault::Eof | ReplyFault::Reset | ReplyFault::Half) => {
                assert!(is_lost(result), "{what}: {result:?}");
            }
            (result, _) => panic!("{what}: {result:?}"),
        }
        match (call.name, fault) {
            ("cancel", _) => assert_eq!(end.took, Duration::from_secs(1), "{what}"),
            // The end of a transaction or of a copy that has failed is bounded.
            (_, ReplyFault::Stall) => {
                assert!([Duration::ZERO, CLEANUP, PATIENCE].contains(&end.took), "{what}: {:?}", end.took);
            }
            _ => assert_eq!(end.took, Duration::ZERO, "{what}"),
        }
    });
    effect
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    Close,
    Reset,
    Stall,
}

impl Cut {
    fn after(self, bytes: u64) -> Toxics {
        match self {
            Self::Close => Toxics::new().limit_data(bytes),
            Self::Reset => Toxics::new().reset_data(bytes),
            Self::Stall => Toxics::new().stall(bytes, Duration::from_secs(100_000)),
        }
    }
}

/// Tries each byte, and each way to cut there, that `is_tried` says, counted from 0.
pub(crate) fn at_bytes(is_tried: impl Fn(usize) -> bool) {
    let mut count = 0;
    for call in calls() {
        let mut bytes = 0..0;
        World::run(async |world| {
            let rig = Rig::new(call, |_| {}).await;
            bytes.start = rig.server.link().snapshot().bytes_down;
            timeout(PATIENCE, (call.run)(rig.db.clone())).await.unwrap().unwrap();
            world.settle().await;
            bytes.end = rig.server.link().snapshot().bytes_down;
        });
        assert!(bytes.end > bytes.start, "{}", call.name);
        for byte in bytes.clone() {
            for cut in [Cut::Close, Cut::Reset, Cut::Stall] {
                count += 1;
                if is_tried(count - 1) {
                    at_byte(call, byte, cut);
                }
            }
        }
    }
}

#[test]
fn a_link_that_ends_at_any_byte_of_any_answer_is_a_lost_connection_and_the_pool_is_whole_again() {
    at_bytes(|number| number % 29 == 0);
}

fn at_byte(call: Call, byte: u64, cut: Cut) {
    let what = format!("{}: {cut:?} after byte {byte}", call.name);
    World::run(async |world| {
        let rig = Rig::new(call, |_| {}).await;
        rig.server.link().downstream(cut.after(byte));
        let end = end_of(&world, call, &rig, false, &what).await;
        check(call, &end, &what);
        match (&end.result, cut) {
            (Some(Ok(())), _) => {}
            (None, Cut::Stall) => assert_eq!(end.took, PATIENCE, "{what}"),
            // No connection passed its check in time.
            (Some(Err(Error::Get(_))), Cut::Stall) => assert_eq!(end.took, ACQUIRE, "{what}"),
            (result, _) => assert!(is_lost(result), "{what}: {result:?}"),
        }
    });
}
