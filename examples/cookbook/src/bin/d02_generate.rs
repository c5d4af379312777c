//! How do I write a stream as a loop that yields? With `generate`, or `try_generate` where the loop can fail.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_stream::{Generate, TryGenerate, generate, try_generate};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    time::sleep,
};

fn ticks(every: Duration) -> Generate<u32> {
    generate(move |y| async move {
        for tick in 1.. {
            sleep(every).await;
            // Goes on when the next one is wanted.
            y.yield_(tick).await;
        }
    })
}

fn numbers(input: impl AsyncRead + Unpin + Send + 'static) -> TryGenerate<i64, io::Error> {
    try_generate(|y| async move {
        let mut lines = BufReader::new(input).lines();
        while let Some(line) = lines.next_line().await? {
            y.yield_(line.parse().map_err(io::Error::other)?).await;
        }
        Ok(())
    })
}

pub(crate) async fn scenario() {
    let three: Vec<_> = ticks(Duration::from_millis(10)).take(3).collect().await;
    println!("{three:?}, and the endless loop was dropped with its stream");

    let mut numbers = numbers(&b"1\n2\nthree\n4\n"[..]);
    loop {
        match numbers.try_next().await {
            Ok(Some(number)) => println!("{number}"),
            Ok(None) => break,
            Err(error) => println!("failed: {error}"),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
