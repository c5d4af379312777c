//! Creations: failures and their causes, panics, and the pace while the backend is down.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-30" pool_30 "A creation that fails is told at once, with its cause."),
    rule!(Must "POOL-31" pool_31 "A creation that fails frees its room."),
    rule!(Must "POOL-32" pool_32 "Every waiter ends, though every creation fails."),
    rule!(Must "POOL-33" pool_33 "A pool serves again within two seconds of the end of an outage."),
    rule!(Must "POOL-34" panics pool_34 "A creation that panics frees its room."),
    rule!(Should "POOL-35" panics pool_35 "A creation that panics is told at once."),
    rule!(Must "POOL-36" pool_36 "While the backend is down, attempts are paced, however many callers wait."),
    rule!(Should "POOL-37" pool_37 "While the backend is down, one attempt begins at a time."),
    rule!(Must "POOL-38" pool_38 "Callers that wait through an outage are served in the order in which they came."),
    rule!(Must "POOL-39" pool_39 "Creations run beside each other."),
    rule!(Must "POOL-40" pool_40 "No more creations run at a time than are allowed."),
    rule!(Must "POOL-41" pool_41 "An error that every caller would meet is told to all waiters at once."),
];

async fn pool_30(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|_| Step::FAILS.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    let error = run.error(1).await?;
    run.equal("told at", run.elapsed(), ms(10))?;
    run.require(
        error.cause().is_some_and(|cause| cause.contains("creation 1")),
        "the error of creation 1",
        error,
    )
}

async fn pool_31(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|number| if number <= 3 { Step::FAILS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    for caller in 1..=3 {
        drop(run.answer(caller).await?);
    }
    run.lends(1).await
}

async fn pool_32(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(2), secs(5));
    settings.backend.creates(|_| Step::FAILS.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=20 {
        callers.push(run.enter(caller, ms(0)).await);
    }
    run.everybody(callers).await?;
    run.require(run.elapsed() <= secs(5), "an end of all within 5s", format_args!("{:?}", run.elapsed()))?;
    run.equal("callers told", run.denied().len(), 20)
}

async fn pool_33(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(2), secs(5));
    settings.backend.creates(|_| Step::DOWN);
    let run = Run::start(subject, &settings)?;
    let up = run.elapsed() + secs(60);
    let mut caller = 0;
    while run.elapsed() < up {
        caller += 1;
        drop(run.answer(caller).await?);
        sleep(secs(1)).await;
    }
    run.backend.recover();
    let recovered = run.elapsed();
    let _lease = run.lease(1000).await?;
    let after = run.elapsed() - recovered;
    run.require(
        after <= secs(2),
        "an object within 2s of the end of an outage of 60s",
        format_args!("after {after:?}"),
    )
}

async fn pool_34(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|number| if number == 1 { Step::PANICS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    drop(run.answer(1).await?);
    run.lends(1).await
}

async fn pool_35(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|number| if number == 1 { Step::PANICS.after(ms(10)) } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    let error = run.error(1).await?;
    run.equal("told at", run.elapsed(), ms(10))?;
    run.require(
        error.cause().is_some_and(|cause| cause.contains("creation 1 panics")),
        "the panic of creation 1",
        error,
    )
}

/// A pool whose backend refuses all creations after this time.
fn down(subject: &Subject, max: usize, time: Duration) -> Checked<Run> {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(max), secs(10));
    settings.backend.creates(move |_| Step::DOWN.after(time));
    Run::start(subject, &settings)
}

async fn pool_36(subject: &Subject) -> Checked {
    let run = down(subject, 4, ms(1))?;
    for caller in 1..=100 {
        run.enter(caller, ms(0)).await;
    }
    let mut attempts = 0;
    for _ in 1..=10 {
        sleep(secs(1)).await;
        attempts = run.creations().len();
        // One that does not pace them makes thousands in a second.
        if attempts > 1000 {
            break;
        }
    }
    run.require(attempts <= 60, "at most 60 attempts in 10s, with 100 callers and room for 4", attempts)
}

async fn pool_37(subject: &Subject) -> Checked {
    let run = down(subject, 4, ms(300))?;
    for caller in 1..=10 {
        // Each asks again when it is told.
        let gets: Vec<_> = (0..100).map(|_| run.get(caller)).collect();
        drop(run.spawn(async move {
            for get in gets {
                drop(get.await);
                sleep(ms(100)).await;
            }
        }));
    }
    sleep(secs(10)).await;
    let begun = run.creations();
    let late = begun.windows(2).filter(|pair| pair[0] > secs(1));
    let gap = late.map(|pair| pair[1] - pair[0]).min().unwrap_or(Duration::MAX);
    run.require(
        gap >= ms(20),
        "a pause of 20ms at least between attempts, after the first second",
        format_args!("{gap:?}"),
    )
}

async fn pool_38(subject: &Subject) -> Checked {
    let run = down(subject, 2, ms(1))?;
    let mut callers = Vec::new();
    for caller in 1..=5 {
        callers.push(run.enter(caller, ms(10)).await);
        sleep(ms(100)).await;
    }
    sleep(secs(1)).await;
    run.backend.recover();
    run.everybody(callers).await?;
    let served = run.served();
    run.require(
        served.is_sorted() && served.len() + run.denied().len() == 5,
        "served in the order in which they came",
        format_args!("{served:?}"),
    )
}

async fn pool_39(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(4);
    settings.backend.creates(|_| Step::OK.after(ms(100)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=4 {
        callers.push(run.enter(caller, secs(1)).await);
    }
    run.everybody(callers).await?;
    run.equal("4 callers, creations of 100ms, the last served at", run.got_at(4), Some(ms(100)))
}

async fn pool_40(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { max_creating: Some(2), ..Settings::of(6) };
    settings.backend.creates(|_| Step::OK.after(ms(100)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=6 {
        callers.push(run.enter(caller, secs(1)).await);
    }
    run.everybody(callers).await?;
    let begun = run.creations();
    let times = [0, 0, 100, 100, 200, 200].map(ms);
    run.equal("6 creations of 100ms, 2 at a time, begun at", begun, times.to_vec())
}

async fn pool_41(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::FatalErrors)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|_| Step::FATAL.after(ms(100)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=10 {
        callers.push(run.enter(caller, ms(0)).await);
    }
    run.everybody(callers).await?;
    let told = run.denied().into_iter().filter(|(_, at, error)| *at == ms(100) && error.cause().is_some());
    run.equal("callers told at 100ms, of 10:", told.count(), 10)
}
