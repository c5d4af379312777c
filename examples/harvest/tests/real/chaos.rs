//! `--chaos`, with a few seeds.

use crate::{place::Place, troubled::by_plan};

const SIZE: &str = "--users 60 --page-size 7 --latency 5 --concurrency 20";

#[tokio::test]
#[ignore = "real tier"]
async fn on_sqlite() {
    for seed in [1, 2] {
        by_plan(&Place::new(), seed, SIZE).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn on_postgres() {
    for seed in [1, 2] {
        let Some(place) = Place::postgres().await else { return };
        by_plan(&place, seed, SIZE).await;
    }
}
