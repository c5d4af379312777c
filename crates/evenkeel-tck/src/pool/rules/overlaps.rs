//! Two events at once: a failure, a change or the end of the pool, while a caller waits or an object is on its way.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-91" pool_91 "A waiter whose object fails its check keeps its place."),
    rule!(Must "POOL-92" pool_92 "The error of a creation is told to the caller that has waited longest, and the others are served.").after("POOL-30"),
    rule!(Must "POOL-93" pool_93 "An object that is returned at the instant of a time-out is lent or idle."),
    rule!(Must "POOL-94" pool_94 "A deadline of a caller may be later than the time-out of the pool."),
    rule!(Must "POOL-95" pool_95 "A waiter that another task polls is woken there.").needs(Needs::POLLS),
    rule!(Must "POOL-96" pool_96 "Objects that are being created during a change to fewer are not lent above it, nor kept."),
    rule!(Must "POOL-97" pool_97 "An object whose creation began before all were retired is not lent."),
    rule!(Must "POOL-98" pool_98 "An object that is being checked at the close is not lent, and dropped."),
    rule!(Must "POOL-99" pool_99 "The minimum of idle objects is there again within two seconds of the end of an outage."),
    rule!(Must "POOL-100" pool_100 "However gets, returns, failures and callers that give up follow each other, no room is lost.").needs(Needs::CANCEL),
];

async fn pool_91(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings::of(1).checked())?;
    let first = run.lease(1).await?;
    let waiters = [run.enter(2, ms(10)).await, run.enter(3, ms(10)).await];
    run.backend.checks(|number| if number == 1 { Step::FAILS.after(ms(10)) } else { Step::OK });
    run.backend.creates(|_| Step::OK.after(ms(10)));
    drop(first);
    run.everybody(waiters).await?;
    run.equal("callers served in the order", run.served(), vec![1, 2, 3])
}

async fn pool_92(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|number| if number == 1 { Step::FAILS.after(ms(10)) } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    let callers = [run.enter(1, ms(0)).await, run.enter(2, ms(0)).await, run.enter(3, ms(0)).await];
    run.everybody(callers).await?;
    let told: Vec<_> = run.denied().into_iter().map(|(caller, at, _)| (caller, at)).collect();
    run.equal("callers told of one creation that fails at 10ms", told, vec![(1, ms(10))])?;
    run.equal("callers served", run.served(), vec![2, 3])
}

async fn pool_93(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).within(secs(2)))?;
    // The object comes back before and after the timer of the waiter.
    for hold in [ms(1999), ms(2000), ms(2001)] {
        let first = run.enter(1, hold).await;
        let second = run.enter(2, ms(0)).await;
        run.everybody([first, second]).await?;
        settle().await;
        run.lends(1).await?;
        settle().await;
    }
    Ok(())
}

async fn pool_94(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let run = Run::start(subject, &Settings::of(1).within(secs(2)))?;
    let _lease = run.lease(1).await?;
    let deadline = Instant::now() + secs(5);
    let answer = run.ended("an answer", run.get_by(2, deadline)).await?;
    run.require(answer.is_err(), "an error", "an object")?;
    run.equal("a deadline after 5s, a time-out of 2s, told at", run.elapsed(), secs(5))
}

async fn pool_95(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let mut waiter = run.get(2);
    run.require(poll_once(&mut waiter).await.is_none(), "a waiter", "an answer at once")?;
    let waiter = run.spawn(async { drop(waiter.await) });
    sleep(ms(10)).await;
    drop(first);
    run.everybody([waiter]).await?;
    run.equal("an object returned at 10ms leased at", run.got_at(2), Some(ms(10)))
}

async fn pool_96(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Resize)?;
    let settings = Settings::of(3);
    settings.backend.creates(|_| Step::OK.after(secs(1)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=3 {
        callers.push(run.enter(caller, secs(5)).await);
    }
    sleep(ms(500)).await;
    run.pool().resize(1);
    run.everybody(callers).await?;
    settle().await;
    run.equal("leases at once, changed from 3 to 1 during 3 creations:", run.peak_leased(), 1)?;
    run.equal("objects kept", run.alive(), 1)
}

async fn pool_97(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::RetireAll)?;
    let settings = Settings::of(1);
    settings.backend.creates(|_| Step::OK.after(secs(1)));
    let run = Run::start(subject, &settings)?;
    let caller = run.enter(1, ms(0)).await;
    sleep(ms(500)).await;
    run.pool().retire_all();
    run.everybody([caller]).await?;
    let held = run.lease(2).await?;
    let old = run.got(1).is_some_and(|(_, number)| number == 1) || held.number == 1;
    run.require(!old, "no caller with the object whose creation began before", "object 1")
}

async fn pool_98(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Close)?;
    let run = Run::start(subject, &within(subject, Settings::of(1).checked(), secs(60)))?;
    drop(run.lease(1).await?);
    settle().await;
    run.backend.checks(|_| Step::OK.after(secs(10)));
    let caller = run.enter(2, ms(0)).await;
    sleep(secs(1)).await;
    let close = run.close_beside(None).await;
    run.everybody([caller]).await?;
    drop(run.ended("an end of the close", close).await?);
    sleep(secs(20)).await;
    run.equal("callers served", run.served(), vec![1])?;
    run.equal("objects alive:", run.alive(), 0)
}

async fn pool_99(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = within(subject, Settings { min_idle: 2, ..Settings::of(4) }, secs(5));
    settings.backend.creates(|_| Step::DOWN.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    sleep(secs(60)).await;
    run.equal("objects during the outage:", run.alive(), 0)?;
    run.backend.recover();
    sleep(secs(2)).await;
    run.equal("objects 2s after the end of an outage of 60s, with a minimum of 2 idle:", run.alive(), 2)
}

/// Pseudo-random steps, the same in each run.
struct Steps(u32);

impl Steps {
    /// The next number below this.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as usize % limit
    }

    /// One of these, taken out.
    fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() { None } else { Some(from.swap_remove(self.below(from.len()))) }
    }
}

/// A pool of three, some of whose creations and checks fail.
fn unsteady(subject: &Subject) -> Settings {
    let settings = within(subject, Settings::of(3), ms(20));
    settings.backend.creates(|number| {
        let step = if number % 4 == 0 { Step::FAILS } else { Step::OK };
        step.after(ms(u64::from(number) % 3))
    });
    settings.backend.checks(|number| {
        let step = if number % 3 == 0 { Step::FAILS } else { Step::OK };
        step.after(ms(u64::from(number) % 2))
    });
    let checked = settings.clone().checked();
    if has(subject, &checked) { checked } else { settings }
}

async fn pool_100(subject: &Subject) -> Checked {
    for seed in 1..=8 {
        let run = Run::start(subject, &unsteady(subject))?;
        let mut steps = Steps(seed);
        let (mut callers, mut pending, mut leases) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=400 {
            match steps.below(8) {
                0 | 1 => callers.push(run.enter(number, ms(steps.below(5) as u64)).await),
                2 => sleep(ms(1)).await,
                3 => settle().await,
                4 => {
                    let mut get = run.get(number);
                    match poll_once(&mut get).await {
                        Some(answer) => leases.extend(answer.ok()),
                        None => pending.push(get),
                    }
                }
                5 => {
                    // A caller may be served by the return, and gives up before it has seen that.
                    drop(steps.take(&mut leases));
                    drop(steps.take(&mut pending));
                }
                6 => {
                    drop(steps.take(&mut leases));
                    steps.take(&mut callers).inspect(|caller| caller.abort());
                }
                _ => {
                    steps.take(&mut leases).inspect(|held| held.object().break_down());
                }
            }
        }
        callers.iter().for_each(|caller| caller.abort());
        drop((pending, leases));
        run.backend.recover();
        sleep(secs(60)).await;
        run.lends(3).await?;
        let shared = run.shared();
        run.require(shared.is_none(), "no object with two users", format_args!("{shared:?}"))?;
    }
    Ok(())
}
