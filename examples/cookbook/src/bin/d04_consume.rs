//! How do I consume streams: one item at a time, several streams at once, with a progress bar?
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_stream::{generate, merge, prelude::*};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

pub(crate) async fn scenario() -> io::Result<()> {
    // `while let` is the loop; `?` ends it at the first error.
    let mut lines = stream::iter(["a", "b", "c"].map(io::Result::Ok));
    while let Some(line) = lines.try_next().await? {
        println!("{line}");
    }

    // Several at once, each with its fair share.
    let source = |name: &'static str, millis| {
        generate(move |y| async move {
            for n in 0..3 {
                sleep(Duration::from_millis(millis)).await;
                y.yield_(format!("{name}{n}")).await;
            }
        })
    };
    let merged: Vec<_> = merge([source("fast ", 10), source("slow ", 25)]).collect().await;
    println!("{}", merged.join(", "));

    // A bar is a hook; it is drawn on a terminal only.
    let bar = ProgressBar::new(0).with_style(ProgressStyle::default_bar());
    let hook = bar.clone();
    let work = stream::iter(0..200).par_map(20, async |n| {
        sleep(Duration::from_millis(20)).await;
        n
    });
    let sum = work
        .progress(move |progress| {
            hook.set_length(progress.total.unwrap_or(progress.done));
            hook.set_position(progress.done);
            let left = progress.eta().map_or(0, |eta| eta.as_millis());
            hook.set_message(format!("{left} ms left"));
        })
        .every(Duration::from_millis(50))
        .fold(0, async |sum, n| sum + n)
        .await;
    bar.finish();
    println!("{} of {}: the sum is {sum}", bar.position(), bar.length().unwrap_or_default());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    scenario().await
}
