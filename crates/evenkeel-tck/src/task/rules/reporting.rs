//! The information in the outcome.

use super::{failures::failing, prelude::*};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-39" panics task_39 "Errors, panics and deadlines are told apart.").after("TASK-16"),
    rule!(Should "TASK-40" task_40 "A failure is told with the name of its task."),
    rule!(Must "TASK-41" task_41 "The number spawned is the sum of finished, failed and cancelled."),
];

async fn task_39(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let ends = || task(1).taking(secs(1));
    let mut cases = vec![
        (failing(subject), ends().failing(), FailureKind::Error),
        (failing(subject), ends().panicking(), FailureKind::Panic),
    ];
    if needs(subject, Capability::Deadline).is_ok() {
        cases.push((
            Settings { deadline: Some(secs(1)), ..Settings::usual() },
            task(1),
            FailureKind::Deadline,
        ));
    }
    for (settings, script, kind) in cases {
        let run = run_group(subject, &settings, Scene::of([script])).await?;
        let told: Vec<FailureKind> = run.outcome.failures.iter().map(|told| told.kind).collect();
        run.equal("told:", told, vec![kind])?;
    }
    Ok(())
}

async fn task_40(subject: &Subject) -> Checked {
    needs(subject, Capability::Names)?;
    let scene = Scene::of([task(1), task(2).taking(secs(1)).failing()]);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    let name = run.outcome.failures.first().and_then(|told| told.name.clone());
    run.equal("told:", name.as_deref(), Some("task 2"))
}

async fn task_41(subject: &Subject) -> Checked {
    needs(subject, Capability::Counts)?;
    let done = [1, 2, 3].map(|number| task(number).taking(secs(u64::from(number))));
    let rest = [task(4).taking(secs(4)).failing(), task(5), task(6)];
    let run = run_group(subject, &Settings::fail_fast(), Scene::of(done.into_iter().chain(rest))).await?;
    let succeeded = run.ended(End::Ok).len();
    let failed = run.ended(End::Error).len();
    let cancelled = run.spawned() - succeeded - failed;
    run.equal("finished and cancelled:", run.outcome.counts, Some((succeeded, cancelled)))
}
