//! Tasks and resources in views, and values that views keep alive.

use super::prelude::*;
use crate::inspect::View;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "INSPECT-15" inspect_15 "A task that waits is shown, with the name of what it waits for."),
    rule!(Must "INSPECT-16" inspect_16 "A wait that was given up is not shown."),
    rule!(Must "INSPECT-17" inspect_17 "A task that was aborted is not shown as alive."),
    rule!(Must "INSPECT-18" inspect_18 "A resource that is gone is not shown."),
    rule!(Must "INSPECT-19" inspect_19 "Nothing of a program that has ended is kept alive."),
];

async fn inspect_15(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        scene.spawn("import", orders.hold(Site::new(0), Box::pin(pending())));
        scene.spawn("report", orders.hold(Site::new(1), Box::pin(pending())));
        scene.look_after(secs(5)).await
    });
    let view = view.await?;
    match view.waits_of("report") {
        Some(waits) if waits.contains("orders") => Ok(()),
        _ => Err(view.fail("that `report` waits for `orders`")),
    }
}

async fn inspect_16(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        scene.spawn("import", orders.hold(Site::new(0), Box::pin(pending())));
        scene.spawn("report", async move {
            let _ = timeout(secs(2), orders.hold(Site::new(1), Box::pin(pending()))).await;
            sleep(secs(60)).await;
        });
        let before = scene.look_after(secs(1)).await;
        (before, scene.look_after(secs(5)).await)
    });
    let (before, after) = views.await?;
    let waits = |view: &View| view.waits_of("report").is_some_and(|waits| waits.contains("orders"));
    match (waits(&before), waits(&after)) {
        (true, false) => Ok(()),
        (false, _) => Err(before.fail("that `report` waits for `orders`")),
        (_, true) => Err(after.fail("that `report` waits no more")),
    }
}

async fn inspect_17(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        scene.spawn("import", orders.hold(Site::new(0), Box::pin(pending())));
        let report = scene.spawn("report", orders.hold(Site::new(1), Box::pin(pending())));
        let before = scene.look_after(secs(5)).await;
        report.abort();
        (before, scene.look_after(secs(1)).await)
    });
    let (before, after) = views.await?;
    if before.waits_of("report").is_none() {
        return Err(before.fail("that `report` is shown while it waits"));
    }
    after
        .waits_of("report")
        .map_or(Ok(()), |_| Err(after.fail("that `report` is not shown when it is aborted")))
}

async fn inspect_18(subject: &Subject) -> Checked {
    needs(subject, Capability::Resources)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        scene.spawn("brief", orders.hold(Site::new(0), Box::pin(async {}))).ended().await;
        let before = scene.look_after(secs(1)).await;
        drop(orders);
        (before, scene.look_after(secs(1)).await)
    });
    let (before, after) = views.await?;
    match (&*before.resources, &*after.resources) {
        ([before], []) if before.contains("orders") => Ok(()),
        (before, after) => {
            let got = format!("{before:?}, then {after:?}");
            Err(Verdict::fail("`orders`, and nothing when it was dropped", got))
        }
    }
}

async fn inspect_19(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let kept = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 1);
        let values = [Arc::new(()), Arc::new(())];
        let weak: Vec<Weak<()>> = values.iter().map(Arc::downgrade).collect();
        for (number, value) in values.into_iter().enumerate() {
            let inside = async move {
                let _value = value;
                pending::<()>().await;
            };
            scene.spawn(&format!("task {number}"), orders.hold(Site::new(number), Box::pin(inside)));
        }
        (scene.look_after(secs(5)).await, weak)
    });
    let (view, weak) = kept.await?;
    if view.waits_of("task 1").is_none() {
        return Err(view.fail("that `task 1` is shown while it waits"));
    }
    let alive = weak.iter().filter(|value| value.strong_count() > 0).count();
    if alive == 0 { Ok(()) } else { Err(view.fail(format!("no value of a task, and {alive} are left"))) }
}
