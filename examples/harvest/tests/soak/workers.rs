//! Workers that are killed, stopped and asked to leave at random moments; one quota for a long time.

use std::time::Duration;

use tokio::{process::Child, time::sleep};

use crate::{
    flawed_api::{FLAWS, FlawedApi, USERS},
    interrupted::signal,
    random::Random,
    shared_quota::calls_of,
    team::{
        self, Engine, Team, a_worker_may_be_killed, a_worker_may_leave, a_worker_may_sleep,
        all_may_leave_and_others_go_on, ends, rows_of_one,
    },
    workdir::text,
};

const WORKERS: usize = 4;
/// The workers that are killed on each engine.
const KILLS: u32 = 20;
/// So slow that several are killed in one harvest.
const RATE: u32 = 40;

/// The ends of the workers of one harvest.
#[derive(Debug, Default)]
struct Ends {
    kills: u32,
    stops: u32,
    sleeps: u32,
}

/// Lets something happen to a worker every moment, until the harvest is complete: the rows are exact.
async fn at_random(engine: Engine, seed: u64) -> Option<Ends> {
    let team = Team::new(engine).await?;
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    let flags = format!("--url {} {} --rate {RATE}", api.base(), team::FLAGS);
    let mut started = 0..;
    let mut start = || team.worker(started.next().unwrap(), &flags).spawn().unwrap();
    let mut workers: Vec<Child> = (0..WORKERS).map(|_| start()).collect();
    let (mut random, mut so_far) = (Random(seed), Ends::default());
    loop {
        sleep(Duration::from_millis(50 + random.below(400))).await;
        // One that ends by itself has seen the end of the harvest.
        if workers.iter_mut().any(|worker| worker.try_wait().unwrap().is_some()) {
            break;
        }
        let worker = &mut workers[random.below(WORKERS as u64) as usize];
        match random.below(6) {
            0 => {
                signal(worker, "-TERM").await;
                let left = std::mem::replace(worker, start()).wait_with_output().await.unwrap();
                // One that has not come to listen to signals ends by it.
                assert!(matches!(left.status.code(), Some(0) | None), "{}", text(&left));
                so_far.stops += 1;
            }
            1 => {
                signal(worker, "-STOP").await;
                sleep(Duration::from_millis(random.below(3000))).await;
                signal(worker, "-CONT").await;
                so_far.sleeps += 1;
            }
            _ => {
                worker.start_kill().unwrap();
                worker.wait().await.unwrap();
                *worker = start();
                so_far.kills += 1;
            }
        }
    }
    for worker in workers {
        ends(worker, 0).await;
    }
    assert_eq!(team.workdir.dump().await, rows, "{engine:?}, seed {seed}");
    let failures = team.workdir.number("SELECT count(*) FROM harvest_failures").await;
    assert_eq!(failures as usize, FLAWS, "{engine:?}, seed {seed}");
    assert_eq!(team.workdir.number("SELECT sum(users)::bigint FROM harvest_pass").await as u64, USERS);
    println!("{engine:?}, seed {seed}: {so_far:?}, {} calls repeated", api.repeated_calls());
    Some(so_far)
}

async fn until_all_kills(engine: Engine) {
    let mut kills = 0;
    for seed in 0.. {
        let Some(ends) = at_random(engine, seed).await else { return };
        kills += ends.kills;
        if kills >= KILLS {
            break;
        }
    }
}

#[tokio::test]
#[ignore = "soak"]
async fn random_ends_over_postgres() {
    until_all_kills(Engine::Postgres).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn random_ends_over_nats() {
    until_all_kills(Engine::Nats).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn random_ends_over_nats_214() {
    until_all_kills(Engine::Nats214).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn each_end_over_each_queue() {
    for engine in [Engine::Postgres, Engine::Nats, Engine::Nats214] {
        a_worker_may_be_killed(engine).await;
        a_worker_may_leave(engine).await;
        a_worker_may_sleep(engine).await;
        all_may_leave_and_others_go_on(engine).await;
    }
}

/// Somebody deletes all jobs that are not in hand: what is missing in the store is published again.
#[tokio::test]
#[ignore = "soak"]
async fn jobs_that_the_queue_has_lost_are_found() {
    let (Some(team), api) = (Team::new(Engine::Postgres).await, FlawedApi::start().await) else { return };
    let rows = rows_of_one(&api).await;
    let flags = format!("--url {} --concurrency 4 --lease 500ms --rate 100", api.base());
    let worker = team.worker(0, &flags).spawn().unwrap();
    api.wait_for_calls(50).await;
    let schema = "(SELECT 'harvest ' || current_schema())";
    let delete = format!(
        "WITH gone AS (DELETE FROM evenkeel_queue.job WHERE queue = {schema} AND state = 'f' RETURNING 1)"
    );
    assert!(team.workdir.number(&format!("{delete} SELECT count(*) FROM gone")).await > 0);
    signal(&worker, "-TERM").await;
    ends(worker, 0).await;
    // The one that was deleted before it was begun is missing: nobody is at the harvest, so that it is found at once.
    let [one, other] = [1, 2].map(|number| team.worker(number, &flags).spawn().unwrap());
    api.wait_for_calls(100).await;
    team.workdir.number(&format!("{delete} SELECT count(*) FROM gone")).await;
    ends(one, 0).await;
    ends(other, 0).await;
    assert_eq!(team.workdir.dump().await, rows);
}

/// Four processes use what the API grants, within one in a hundred, and no more.
#[tokio::test]
#[ignore = "soak"]
async fn four_processes_share_a_quota() {
    for rate in [100, 500] {
        let Some(calls) = calls_of(4, rate, u64::from(rate) * 10).await else { return };
        println!("{calls}");
        calls.assert_never_above();
        // A stretch of time that begins behind a burst that was kept has that burst above the rate.
        assert!((0.99..=1.01).contains(&calls.used()), "{calls}");
    }
}
