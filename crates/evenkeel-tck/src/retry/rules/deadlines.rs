//! The moment at which a call must have ended.

use super::{prelude::*, retry_after::asking};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-55" retry_55 "At a deadline that has passed, no attempt is made."),
    rule!(Must "RETRY-56" retry_56 "An attempt in flight is dropped at the deadline."),
    rule!(Must "RETRY-57" retry_57 "A wait that would not end before the deadline is not begun."),
    rule!(Must "RETRY-58" retry_58 "A deadline is a moment, whenever the call is first polled.")
        .needs(Needs::LAZY),
    rule!(Must "RETRY-59" retry_59 "Of a deadline and a total time, the earlier one counts."),
];

/// Many attempts with this delay between them, and a deadline this long from now.
pub(super) fn until(deadline: Duration, delay: Duration) -> Settings {
    Settings { deadline: Some(Instant::now() + deadline), ..Settings::fixed(delay).attempts(1000) }
}

async fn retry_55(subject: &Subject) -> Checked {
    let settings = until(ms(0), secs(1));
    for passed in [ms(0), secs(1)] {
        sleep(passed).await;
        let run = run_call(subject, &settings, |_| Step::OK).await?;
        run.equal(&format!("{passed:?} after the deadline, attempts at"), run.called(), vec![])?;
    }
    Ok(())
}

async fn retry_56(subject: &Subject) -> Checked {
    let run = run_call(subject, &until(secs(5), secs(1)), |_| Step::TRANSIENT.taking(secs(60))).await?;
    run.equal("the only attempt, of 60s, dropped at", run.freed(), vec![secs(5)])
}

async fn retry_57(subject: &Subject) -> Checked {
    let outlasting = run_call(subject, &until(secs(5), secs(3)), |_| Step::TRANSIENT).await?;
    outlasting.equal(
        "attempts before 5s, with delays of 3s, at",
        outlasting.begun(),
        vec![ms(0), secs(3)],
    )?;
    outlasting.equal("given up at", outlasting.elapsed, secs(3))?;
    let reaching = run_call(subject, &until(secs(5), secs(5)), |_| Step::TRANSIENT).await?;
    reaching.equal("with a delay of 5s, given up at", reaching.elapsed, ms(0))?;
    if needs(subject, Capability::RetryAfter).is_ok() {
        let asked = run_call(subject, &until(secs(5), secs(1)), |_| asking(secs(60))).await?;
        asked.equal("with a wait of 60s asked for, given up at", asked.elapsed, ms(0))?;
    }
    Ok(())
}

async fn retry_58(subject: &Subject) -> Checked {
    let policy = configure(subject, &until(ms(5500), secs(1)))?;
    let record = Record::start();
    let call = policy.call(Operation::new(&record, |_| Step::TRANSIENT));
    sleep(secs(3)).await;
    let run = FinishedCall::end(secs(60), call, record).await?;
    run.equal("polled at 3s, attempts until 5.5s at", run.begun(), [3, 4, 5].map(secs).to_vec())
}

async fn retry_59(subject: &Subject) -> Checked {
    for (total, deadline) in [(ms(2500), secs(5)), (secs(5), ms(2500))] {
        let settings = Settings { total_timeout: Some(total), ..until(deadline, secs(1)) };
        let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
        let times = format!("a total time of {total:?}, a deadline at {deadline:?}, attempts at");
        run.equal(&times, run.begun(), vec![ms(0), secs(1), secs(2)])?;
    }
    Ok(())
}
