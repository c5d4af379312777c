//! Time-outs: of a get, of a creation, of a check, and deadlines.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-15" pool_15 "A caller without an object is told at its time-out."),
    rule!(Must "POOL-16" pool_16 "The time-out is for the whole of a get, whatever it waits for."),
    rule!(Must "POOL-17" pool_17 "A creation that hangs ends at its time-out, and frees its room."),
    rule!(Must "POOL-18" pool_18 "A check that hangs ends at its time-out, and its caller gets another object."),
    rule!(Must "POOL-19" pool_19 "A time-out tells whether an object or its creation took too long."),
    rule!(Must "POOL-20" pool_20 "A caller with a deadline of its own is told at that instant."),
    rule!(Must "POOL-21" pool_21 "A caller whose deadline has passed gets an idle object, or an error at once."),
    rule!(Must "POOL-22" pool_22 "A caller that runs out of time while the backend is down is told of its error."),
];

fn is_timeout(error: &GetError) -> bool {
    matches!(error, GetError::Timeout(_))
}

async fn pool_15(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).within(secs(2)))?;
    let _lease = run.lease(1).await?;
    let error = run.error(2).await?;
    run.require(is_timeout(&error), "a time-out", error)?;
    run.equal("told of a time-out of 2s at", run.elapsed(), secs(2))
}

async fn pool_16(subject: &Subject) -> Checked {
    let mut settings = Settings::of(4).within(secs(2)).checked();
    let limit = |stage| subject.supports(stage).is_ok().then_some(secs(2));
    settings.check_timeout = limit(Capability::CheckTimeout);
    settings.create_timeout = limit(Capability::CreateTimeout);
    let run = Run::start(subject, &settings)?;
    drop(run.leases(4).await?);
    settle().await;
    run.backend.checks(|_| Step::HANGS);
    drop(run.answer(9).await?);
    let took = run.elapsed();
    run.require(
        took <= secs(2),
        "an answer within 2s, with 4 objects whose checks hang",
        format_args!("{took:?}"),
    )
}

async fn pool_17(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { create_timeout: Some(secs(2)), ..Settings::of(1) };
    settings.backend.creates(|number| if number == 1 { Step::HANGS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    let hung = run.enter(1, ms(0)).await;
    sleep(secs(2)).await;
    settle().await;
    let ended = run.first(&Event::NotCreated(1));
    run.equal("the end of a creation that hangs, with a time-out of 2s, at", ended, Some(secs(2)))?;
    run.lends(1).await?;
    run.everybody([hung]).await
}

async fn pool_18(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { check_timeout: Some(secs(2)), ..Settings::of(1).checked() };
    let run = Run::start(subject, &settings)?;
    drop(run.lease(1).await?);
    settle().await;
    run.backend.checks(|number| if number == 1 { Step::HANGS } else { Step::OK });
    let _lease = run.lease(2).await?;
    run.equal(
        "the caller behind a check that hangs, with a time-out of 2s,",
        run.got(2),
        Some((secs(2), 2)),
    )?;
    run.equal("objects dropped", run.freed(), vec![1])
}

async fn pool_19(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { create_timeout: Some(secs(2)), ..Settings::of(2).within(secs(5)) };
    settings.backend.creates(|number| if number == 2 { Step::HANGS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    let _lease = run.lease(1).await?;
    let error = run.error(2).await?;
    run.equal("the error of a creation that hangs:", error, GetError::CreateTimeout)?;
    let _second = run.lease(3).await?;
    let error = run.error(4).await?;
    run.require(is_timeout(&error), "a time-out of the get", error)
}

async fn pool_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let run = Run::start(subject, &within(subject, Settings::of(1), secs(60)))?;
    let _lease = run.lease(1).await?;
    let later = run.enter(2, ms(0)).await;
    let deadline = Instant::now() + secs(2);
    let answer = run.ended("an answer", run.get_by(3, deadline)).await?;
    run.require(answer.is_err_and(|error| is_timeout(&error)), "a time-out", "another answer")?;
    run.equal("told of a deadline after 2s, behind a caller with one after 60s, at", run.elapsed(), secs(2))?;
    later.abort();
    Ok(())
}

async fn pool_21(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let run = Run::start(subject, &Settings::of(1))?;
    sleep(secs(10)).await;
    drop(run.lease(1).await?);
    settle().await;
    let past = Instant::now() - secs(1);
    let answer = run.ended("an answer", run.get_by(2, past)).await?;
    run.require(answer.is_ok(), "an idle object", "an error")?;
    let answer2 = run.ended("an answer", run.get_by(3, past)).await?;
    run.require(answer2.is_err(), "an error while the object is out", "an object")?;
    run.equal("told at", run.elapsed(), secs(10))
}

async fn pool_22(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(2));
    settings.backend.creates(|_| Step::DOWN.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    let error = run.error(1).await?;
    let tells = error.cause().is_some_and(|cause| cause.contains("is refused"));
    run.require(tells, "an error with that of the backend: creation … is refused", error)
}
