//! Draws the picture of a stop in the guide.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_task::{BoxError, Group, Stop, shield};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::{err, ms};

/// The name of each part, the time of its end, and the sign of that.
type Lives = Arc<Mutex<Vec<(&'static str, Duration, &'static str)>>>;

/// Records the end of a part, by itself or by a drop.
struct Life {
    name: &'static str,
    start: Instant,
    lives: Lives,
    ends: &'static str,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.lives.lock().unwrap().push((self.name, self.start.elapsed(), self.ends));
    }
}

const DRAIN: Duration = ms(200);
const GRACE: Duration = ms(300);

/// A sign for 10 ms: `=` before the drain, `~` in the grace, `-` after the abort.
fn line((name, end, ends): (&str, Duration, &str)) -> String {
    let sign = |at: Duration| match at {
        at if at < DRAIN => '=',
        at if at < DRAIN + GRACE => '~',
        _ => '-',
    };
    let signs: String = (0..).map(|n| ms(10 * n)).take_while(|at| *at < end).map(sign).collect();
    let mark = if ends.starts_with("fails") || ends.contains("dropped") { 'x' } else { '|' };
    format!("{name:8}|{:58}{ends}", signs + &mark.to_string()).trim_end().to_owned()
}

async fn drains(stop: Stop) {
    stop.draining().await;
    sleep(ms(100)).await;
}

#[test]
fn the_picture_in_the_guide_is_what_happens() {
    let lives = World::run(async |_| {
        let lives = Lives::default();
        let start = Instant::now();
        let life = |name, ends| Life { name, start, lives: lives.clone(), ends };
        let run = Group::builder().grace(GRACE).run(async |g| {
            let fetch = life("fetch", "fails: the group drains");
            g.spawn(async move {
                let _fetch = fetch;
                sleep(DRAIN).await;
                err("no answer")
            });
            let writer = life("writer", "sees the drain, ends by itself");
            let drains = drains(g.stop().clone());
            g.spawn(async move {
                let _writer = writer;
                drains.await;
            });
            let deaf = life("deaf", "is dropped when the grace is over");
            g.spawn(async move {
                let _deaf = deaf;
                pending::<()>().await;
            });
            let pay = life("pay", "a shield ends what it has begun");
            g.spawn(shield(ms(1000), async move {
                let _pay = pay;
                sleep(ms(550)).await;
            }));
            let _body = life("body", "is dropped at once");
            pending::<Result<(), BoxError>>().await
        });
        let error = run.await.unwrap_err();
        assert_eq!((error.failures().len(), error.finished(), error.cancelled()), (1, 1, 2));
        drop(life("group", "returns"));
        lives
    });
    let mut lives = std::mem::take(&mut *lives.lock().unwrap());
    lives.sort_by_key(|(_, end, _)| *end);
    let picture = lives.into_iter().map(line).collect::<Vec<_>>().join("\n");
    let guide = include_str!("../../GUIDE.md");
    assert!(guide.contains(&picture), "the guide should show\n{picture}");
}
