//! How do the other tasks stop when one fails? The group stops them, waits for them, and returns an error with
//! all failures; `split` divides it by type, as `except*` does.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, num::ParseIntError, time::Duration};

use evenkeel_task::{Group, GroupError};
use tokio::time::sleep;

/// Prints a line when it is dropped.
struct Connection(&'static str);

impl Drop for Connection {
    fn drop(&mut self) {
        println!("{} is closed", self.0);
    }
}

async fn run() -> Result<(), GroupError> {
    Group::builder()
        .grace(Duration::from_millis(100))
        .run(async |g| {
            let stop = g.stop().clone();
            g.task("writer").spawn(async move {
                let _connection = Connection("writer");
                stop.draining().await;
                Err::<(), _>(io::Error::other("could not flush"))
            });
            g.task("reader").spawn(async {
                let _connection = Connection("reader");
                sleep(Duration::from_millis(20)).await;
                "12x".parse::<u8>()
            });
            Ok(())
        })
        .await
}

pub(crate) async fn scenario() {
    let Err(error) = run().await else { return };
    let (numbers, rest) = error.split::<ParseIntError>();
    for (kind, part) in [("bad number", numbers), ("other", rest)] {
        for failure in part.iter().flat_map(GroupError::failures) {
            println!("{kind}: {failure:#}");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
