//! How do I start a request first and wait for it later? As a task of a group, which runs while the body goes on.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_task::{GroupError, group};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

async fn fetch() -> io::Result<&'static str> {
    sleep(Duration::from_millis(60)).await;
    Ok("the page")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    let start = Instant::now();
    let page = group(async |g| {
        let (answer, later) = oneshot::channel();
        g.task("fetch").spawn(async move {
            // The send fails if the body has ended.
            fetch().await.map(|page| answer.send(page).ok())
        });
        for step in 1..=3 {
            sleep(Duration::from_millis(15)).await;
            println!("light work {step}");
        }
        Ok(later.await?)
    })
    .await?;
    println!("{page} after {} ms", start.elapsed().as_millis());
    Ok(())
}
