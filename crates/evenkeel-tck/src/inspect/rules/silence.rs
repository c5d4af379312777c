//! Programs that go on.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "INSPECT-11" inspect_11 "Nothing is found in a queue that moves."),
    rule!(Must "INSPECT-12" inspect_12 "A task that waits for one of several holders is in no circle while another one goes on."),
    rule!(Must "INSPECT-13" inspect_13 "A wait that was given up is in no circle."),
    rule!(Must "INSPECT-14" inspect_14 "A finding ends with its cause."),
];

async fn inspect_11(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        for number in 0..20 {
            scene.spawn(&format!("task {number}"), orders.hold(Site::new(0), Box::pin(sleep(secs(1)))));
        }
        let mut views = Vec::new();
        for _ in 0..18 {
            views.push(scene.look_after(secs(1)).await);
        }
        views
    });
    views.await?.iter().try_for_each(|view| view.tells_nothing("while each has it for a second"))
}

async fn inspect_12(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let (orders, stock) = (scene.pool("orders", 2), scene.pool("stock", 1));
        scene.spawn("report", orders.hold(Site::new(0), Box::pin(sleep(secs(60)))));
        // It has one of the two, and waits for the other task, which waits for one of the two.
        scene.spawn_nested("sell", &orders, &stock);
        scene.spawn_nested("refill", &stock, &orders);
        scene.look_after(secs(5)).await
    });
    view.await?.tells_nothing("while `report` goes on with one of the two units")
}

async fn inspect_13(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let (orders, stock) = (scene.pool("orders", 1), scene.pool("stock", 1));
        let wanted = stock.clone();
        let inside = async move {
            sleep(secs(1)).await;
            let _ = timeout(secs(1), wanted.hold(Site::new(1), Box::pin(pending()))).await;
            sleep(secs(60)).await;
        };
        scene.spawn("sell", orders.hold(Site::new(0), Box::pin(inside)));
        scene.spawn_nested("refill", &stock, &orders);
        scene.look_after(secs(5)).await
    });
    view.await?.tells_nothing("after `sell` has given up and goes on")
}

async fn inspect_14(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadlocks)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let (orders, stock) = (scene.pool("orders", 1), scene.pool("stock", 1));
        let sell = scene.spawn_nested("sell", &orders, &stock).task;
        scene.spawn_nested("refill", &stock, &orders);
        let before = scene.look_after(secs(5)).await;
        sell.abort();
        (before, scene.look_after(secs(1)).await)
    });
    let (before, after) = views.await?;
    before.tells(StandStillKind::Deadlock, &["sell", "refill"])?;
    after.tells_nothing("after one of the two was aborted")
}
