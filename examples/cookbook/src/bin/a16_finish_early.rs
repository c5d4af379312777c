//! How do I end a group early with a value? With `finish`: the tasks that are left are stopped, and the group returns it.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_task::{FinishGroup, Group, GroupError};
use tokio::time::{Instant, sleep};

/// A part of a search; the group ends with the first match.
async fn search(part: u64, g: FinishGroup<Option<u64>>) {
    for candidate in part * 100..(part + 1) * 100 {
        sleep(Duration::from_millis(1)).await;
        if candidate % 97 == 96 {
            g.finish(Some(candidate));
        }
    }
}

pub(crate) async fn scenario() -> Result<(), GroupError> {
    let start = Instant::now();
    let found = Group::builder()
        .run_until_finished(async |g| {
            for part in 1..=8 {
                g.task(format!("part {part}")).spawn(search(part, g.clone()));
            }
            // Without a match the group ends with the value of its body.
            Ok(None)
        })
        .await?;
    println!("{found:?} after {} ms", start.elapsed().as_millis());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    scenario().await
}
