//! How does it wait for work that was handed on? With a guard: whoever has the work holds it, and the program does not
//! end before it is dropped, or the time is over. Then the report says who held it, where it was taken and how long ago.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use evenkeel_shutdown::{Guard, Report, Shutdown};
use tokio::time::sleep;

/// Something that spawns tasks of its own, as a library may do: nobody here can join them.
fn send_mail(number: u64, guard: Guard) {
    tokio::spawn(async move {
        sleep(Duration::from_millis(200 * number)).await;
        println!("mail {number} is sent");
        drop(guard);
    });
}

#[tokio::main]
async fn main() -> Report {
    let shutdown = Shutdown::new().grace(Duration::from_secs(2));
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
