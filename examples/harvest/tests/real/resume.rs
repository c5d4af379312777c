//! The next run continues an unfinished one.

use crate::{
    interrupted::{Signal, again_and_again, at_random},
    workdir::Workdir,
};

const SEEDS: [u64; 3] = [101, 102, 103];

#[tokio::test]
#[ignore = "real tier"]
async fn after_sigterm_on_sqlite() {
    for seed in SEEDS {
        at_random(&Workdir::new(), Signal::Term, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_sigterm_on_postgres() {
    for seed in SEEDS {
        let Some(workdir) = Workdir::postgres().await else { return };
        at_random(&workdir, Signal::Term, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_crash_on_sqlite() {
    for seed in SEEDS {
        at_random(&Workdir::new(), Signal::Kill, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_crash_on_postgres() {
    for seed in SEEDS {
        let Some(workdir) = Workdir::postgres().await else { return };
        at_random(&workdir, Signal::Kill, seed).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_many_crashes() {
    again_and_again(&Workdir::new(), 104).await;
}
