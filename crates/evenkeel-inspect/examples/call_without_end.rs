//! A consumer calls a server that has stopped to answer, and has no time limit for the call.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{future::pending, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_pipeline::{MemoryBroker, Pipeline, SourceError};
use tokio::{runtime::Handle, time::sleep};

/// Sends a mail; from the twentieth on the server of mails takes them and says nothing.
async fn send(mail: u32) -> Result<(), SourceError> {
    match mail {
        0..20 => sleep(Duration::from_millis(100)).await,
        _ => pending().await,
    }
    Ok(())
}

/// Looks at the consumer after half a minute, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    let mails = MemoryBroker::new();
    for mail in 0..26 {
        mails.publish(mail).await.expect("the broker is there");
    }
    let consumer = Pipeline::from(mails.source()).stage("send", send).limit(2).start();
    let _consumer = consumer.expect("the settings fit");
    sleep(Duration::from_secs(30)).await;
    dump_of(Handle::current().id())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{}", look().await);
}
