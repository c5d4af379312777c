//! `--chaos`, with a few seeds.

use crate::{compare_runs::compare_with_chaos, workdir::Workdir};

const SIZE: &str = "--users 60 --page-size 7 --latency 5 --concurrency 20";

#[tokio::test]
#[ignore = "real tier"]
async fn on_sqlite() {
    for seed in [1, 2] {
        compare_with_chaos(&Workdir::new(), seed, SIZE).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn on_postgres() {
    for seed in [1, 2] {
        let Some(workdir) = Workdir::postgres().await else { return };
        compare_with_chaos(&workdir, seed, SIZE).await;
    }
}
