//! Programs whose time is virtual: to the millisecond the same in each run.

use evenkeel_postgres::{
    Database,
    deadpool_postgres::{Manager, ManagerConfig},
    tokio_postgres::Config,
};
use evenkeel_shutdown::Shutdown;
use evenkeel_testkit::{World, net::MemNet};
use evenkeel_testkit_pg::{Reply, Server, Type};

use crate::{
    examples,
    output::{Ended as _, assert_is_drawn, assert_is_the_books},
};

/// Runs a program as a test of its name; one with a title is drawn, too.
macro_rules! programs {
    ($($name:ident $($title:literal)?: $run:expr;)*) => {$(
        #[test]
        fn $name() {
            let run: fn() -> _ = || $run;
            let drawn = World::timeline(async |_| run().await.assert_succeeded());
            assert_is_the_books(stringify!($name));
            let titles: &[&str] = &[$($title)?];
            for title in titles {
                assert_is_drawn(stringify!($name), drawn.clone().titled(*title));
            }
        }
    )*};
}

programs! {
    a01_start_a_program: examples::a01_start_a_program::scenario();
    a02_run_together "Run a few things together": examples::a02_run_together::scenario();
    a03_map_a_list "Run one function over a list": examples::a03_map_a_list::scenario();
    a04_keep_every_outcome: examples::a04_keep_every_outcome::scenario();
    a05_background_work "Start background work that is not lost": examples::a05_background_work::scenario();
    a06_own_what_you_start "Own the task that you start": examples::a06_own_what_you_start::scenario();
    a07_fail_fast "Fail fast": examples::a07_fail_fast::scenario();
    a08_as_they_finish "Take results as they finish": examples::a08_as_they_finish::scenario();
    a09_wait_for_some: examples::a09_wait_for_some::scenario();
    a10_first_answer "Take the first answer": examples::a10_first_answer::scenario();
    a11_bounded_time "Bound the time": examples::a11_bounded_time::scenario();
    a12_shield "Shield a critical section": examples::a12_shield::scenario();
    a15_start_first_await_later "Start first, await later": examples::a15_start_first_await_later::scenario();
    a16_finish_early "End a group early with a value": examples::a16_finish_early::scenario();
    b01_limit_concurrency "Limit what runs at once": examples::b01_limit_concurrency::scenario();
    b02_limit_rate "Limit the rate": examples::b02_limit_rate::scenario();
    b03_limit_per_host "Limit each host": examples::b03_limit_per_host::scenario();
    b04_task_bomb: examples::b04_task_bomb::scenario(10_000);
    b05_many_processes: examples::b05_many_processes::scenario();
    c01_retry_with_backoff "Retry with backoff": examples::c01_retry_with_backoff::scenario();
    c02_retry_http "Retry HTTP, and obey the server": examples::c02_retry_http::scenario();
    d01_pages "Read an API page by page": examples::d01_pages::scenario();
    d02_generate: examples::d02_generate::scenario();
    d03_stream_a_query: async {
        let server = server(series);
        examples::d03_stream_a_query::scenario(database(&server)).await
    };
    d04_consume: examples::d04_consume::scenario();
    d05_batches "Process in batches": examples::d05_batches::scenario();
    e01_producer_and_consumer "Producer and consumers": examples::e01_producer_and_consumer::scenario();
    e02_worker_pool "A pool of workers": examples::e02_worker_pool::scenario();
    e03_staged_pipeline "A pipeline of stages": examples::e03_staged_pipeline::scenario();
    e04_several_queues: examples::e04_several_queues::scenario();
    e05_shared_work "Work shared by several machines": examples::e05_shared_work::scenario();
    e06_crawl "Crawl: work that grows while it is done": examples::e06_crawl::scenario();
    f01_lend_and_take_back "Lend, and take back": examples::f01_lend_and_take_back::scenario();
    f02_open_use_close "Open, use, close": examples::f02_open_use_close::scenario();
    f03_database: async {
        let server = server(users);
        examples::f03_database::scenario(database(&server)).await
    };
    g01_graceful_stop "Stop gracefully": async { reported(examples::g01_graceful_stop::scenario(manual()).await) };
    g02_in_flight "Wait for work in flight": async { reported(examples::g02_in_flight::scenario(manual()).await) };
    m01_tower_layers: examples::m01_tower_layers::scenario();
    m02_from_backon: examples::m02_from_backon::scenario();
    m03_from_deadpool: examples::m03_from_deadpool::scenario();
    w01_which_wraps_which "Which wraps which": examples::w01_which_wraps_which::scenario();
}

/// A shutdown that hears no signals.
fn manual() -> Shutdown {
    Shutdown::manual().0
}

/// A program ends with its report, as `main` prints it.
fn reported(report: evenkeel_shutdown::Report) {
    println!("{report}");
}

/// A server in memory.
fn server(prepare: fn(&Server)) -> Server {
    let server = Server::mem(&MemNet::new(), "db.test").unwrap();
    prepare(&server);
    server
}

/// A database of one connection over a server in memory.
fn database(server: &Server) -> Database {
    let mut config = Config::new();
    config.user("app");
    let connector = server.connector();
    Database::over(Manager::from_connect(config, server.connector(), ManagerConfig::default()))
        .max(1)
        .cancel_with(move |token| {
            let connector = connector.clone();
            async move { connector.cancel(&token).await }
        })
        .build()
        .unwrap()
}

fn users(server: &Server) {
    server.setup("create table users (id int8 primary key, name text not null)");
}

/// The function `generate_series`, which this server does not know.
fn series(server: &Server) {
    let rows = |rows: i64| (1..=rows).fold(Reply::columns(&[("n", Type::INT8)]), |reply, n| reply.row(&[&n]));
    server.on_prefix("select n from generate_series(1, $1").parameters(&[Type::INT8]).reply(rows(10_000));
    server.on_prefix("select n from generate_series(1, 1000000000").reply(rows(5_000));
    server
        .on("select count(*) from pg_class")
        .reply(Reply::columns(&[("count", Type::INT8)]).row(&[&415_i64]));
}
