//! Tasks that wait for each other.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "INSPECT-01" inspect_01 "A task that waits for what it holds itself is found, with its name."),
    rule!(Must "INSPECT-02" inspect_02 "Two tasks that each hold what the other one waits for are found, with their names."),
    rule!(Must "INSPECT-03" inspect_03 "A circle over a limit and a pool is found."),
    rule!(Must "INSPECT-04" inspect_04 "A group that is full of tasks which wait for tasks behind them is found."),
    rule!(Must "INSPECT-05" inspect_05 "Holders of all units that each wait for one more are found."),
    rule!(Must "INSPECT-06" inspect_06 "A deadlock is told with the places at which its tasks took and ask."),
];

async fn inspect_01(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        scene.spawn_nested("import", &orders, &orders);
        scene.look_after(secs(5)).await
    });
    view.await?.tells(StandStillKind::Deadlock, &["import", "orders"])
}

async fn inspect_02(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let (orders, stock) = (scene.pool("orders", 1), scene.pool("stock", 1));
        scene.spawn_nested("sell", &orders, &stock);
        scene.spawn_nested("refill", &stock, &orders);
        scene.look_after(secs(5)).await
    });
    view.await?.tells(StandStillKind::Deadlock, &["sell", "refill", "orders", "stock"])
}

async fn inspect_03(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let calls = scene.program.resource(SharedKind::Limit, "calls", 1);
        let orders = scene.pool("orders", 1);
        scene.spawn_nested("fetch", &calls, &orders);
        scene.spawn_nested("flush", &orders, &calls);
        scene.look_after(secs(5)).await
    });
    view.await?.tells(StandStillKind::Deadlock, &["fetch", "flush", "calls", "orders"])
}

async fn inspect_04(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &Settings { limit: Some(2) }, async |scene: Scene| {
        for number in [1, 2] {
            let tasks = scene.tasks();
            scene.spawn(&format!("parent {number}"), async move {
                sleep(secs(1)).await;
                tasks.spawn(format!("child {number}"), Box::pin(async {})).ended().await;
            });
        }
        scene.look_after(secs(5)).await
    });
    view.await?.tells(StandStillKind::Deadlock, &["parent ", "child "])
}

async fn inspect_05(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 2);
        scene.spawn_nested("import 1", &orders, &orders);
        scene.spawn_nested("import 2", &orders, &orders);
        scene.look_after(secs(5)).await
    });
    view.await?.tells(StandStillKind::Deadlock, &["import ", "orders"])
}

async fn inspect_06(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    needs(subject, Capability::Places)?;
    let scene = run_scene(subject, &FREE, async |scene: Scene| {
        let (orders, stock) = (scene.pool("orders", 1), scene.pool("stock", 1));
        let sell = scene.spawn_nested("sell", &orders, &stock);
        scene.spawn_nested("refill", &stock, &orders);
        (scene.look_after(secs(5)).await, sell.sites)
    });
    let (view, sites) = scene.await?;
    let has_both = view.findings.iter().any(|found| sites.iter().all(|site| site.is_in(&found.text)));
    if has_both { Ok(()) } else { Err(view.fail(format!("a finding with the places {sites:?}"))) }
}
