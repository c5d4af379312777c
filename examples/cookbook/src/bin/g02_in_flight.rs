//! How does a program wait for work that was passed on? With a guard, which is passed on with the work: the program does not
//! end before the guard is dropped, or the time is over. Then the report names the guard, its place and its age.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_shutdown::{Guard, Report, Shutdown};
use tokio::time::sleep;

/// Spawns a task of its own, as a library may do: the program cannot join it.
fn send_mail(number: u64, guard: Guard) {
    tokio::spawn(async move {
        sleep(Duration::from_millis(200 * number)).await;
        println!("mail {number} is sent");
        drop(guard);
    });
}

pub(crate) async fn scenario(shutdown: Shutdown) -> Report {
    let shutdown = shutdown.grace(Duration::from_secs(2));
    let handle = shutdown.handle();
    let closing = handle.clone();
    shutdown
        .task("shop", async move |_stop| {
            for number in 1..=5 {
                send_mail(number, handle.guard("mail"));
            }
            println!("the shop is closed, and {} mails are on their way", handle.in_flight());
        })
        .on_stop("mail server", async move || {
            println!("good bye to the mail server, with {} mails left", closing.in_flight());
        })
        .run()
        .await
}

#[tokio::main]
async fn main() -> Report {
    scenario(Shutdown::new()).await
}
