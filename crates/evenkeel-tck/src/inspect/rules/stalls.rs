//! Parts that do not go on, though no tasks wait for each other.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "INSPECT-07" inspect_07 "A drain that waits for a guard is found, with the name of the guard."),
    rule!(Must "INSPECT-08" inspect_08 "Holders that keep a resource far longer than usual while others wait are found."),
    rule!(Must "INSPECT-09" inspect_09 "A consumer with pending messages of which none is done any more is found."),
    rule!(Must "INSPECT-10" inspect_10 "A batch that waits for a size that never comes is found."),
];

async fn inspect_07(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        scene.spawn("main", scene.program.drain("upload", secs(3600)));
        scene.look_after(secs(60)).await
    });
    view.await?.tells(StandStillKind::Drain, &["upload"])
}

/// Two transactions that wait for each other's locks in the server: a pool sees that their connections do not come back.
async fn inspect_08(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let orders = scene.pool("orders", 2);
        for _ in 0..20 {
            let used = scene.spawn("brief", orders.hold(Site::new(0), Box::pin(sleep(ms(10)))));
            used.ended().await;
        }
        for name in ["debit", "credit"] {
            scene.spawn(name, orders.hold(Site::new(0), Box::pin(pending())));
        }
        sleep(secs(1)).await;
        scene.spawn("report", orders.hold(Site::new(1), Box::pin(async {})));
        scene.look_after(secs(60)).await
    });
    view.await?.tells(StandStillKind::OldHolders, &["orders", "debit", "credit"])
}

async fn inspect_09(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        let work = |number| -> crate::BoxFuture<'static, ()> {
            match number {
                0..10 => Box::pin(sleep(ms(100))),
                _ => Box::pin(pending()),
            }
        };
        scene.spawn("main", scene.program.consume("mails", 15, Arc::new(work)));
        scene.look_after(secs(60)).await
    });
    view.await?.tells(StandStillKind::NoProgress, &["mails"])
}

async fn inspect_10(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let view = run_scene(subject, &FREE, async |scene: Scene| {
        scene.spawn("main", scene.program.batch("rows", 500, 3));
        scene.look_after(secs(3600)).await
    });
    view.await?.tells(StandStillKind::NoProgress, &["rows"])
}
