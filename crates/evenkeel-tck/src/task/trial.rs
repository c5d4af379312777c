use std::time::Duration;

use tokio::time::timeout;

use super::{Adapter, Body, Capability, Group, Outcome, Settings, Told, adapter::Run, script::Scene};
use crate::{
    Verdict,
    duration::WEEK,
    life::{Event, Record, caught},
    rule::Checked,
};

/// A group that has ended.
pub(crate) struct Trial {
    pub(crate) outcome: Outcome,
    pub(crate) record: Record,
}

/// Runs one group.
pub(crate) async fn trial(subject: &dyn Adapter, settings: &Settings, scene: Scene) -> Checked<Trial> {
    if !Body::is_plain(&scene) {
        needs(subject, Capability::Body)?;
    }
    let group = configure(subject, settings)?;
    let record = Record::start();
    Trial::end(group.call(Body::new(scene, &record)), record).await
}

impl Trial {
    /// Waits for the end of a group. A panic that goes on there is told.
    pub(crate) async fn end(run: Run, record: Record) -> Checked<Self> {
        let end = {
            let record = record.clone();
            async move {
                let outcome =
                    caught(run).await.unwrap_or_else(|panic| Outcome::telling([Told::panic(&panic)]));
                record.note(Event::Left);
                outcome
            }
        };
        match timeout(WEEK, end).await {
            Ok(outcome) => Ok(Self { outcome, record }),
            Err(_) => Err(record.failure(format!("an end within {WEEK:?}"), "none")),
        }
    }

    /// When the group gave its result.
    pub(crate) fn left(&self) -> Duration {
        self.record.left().unwrap_or_default()
    }

    /// The rule asks that no task is left when the group gives its result.
    pub(crate) fn leaves_nobody(&self) -> Checked {
        self.record.equal(
            "when the group has ended, tasks alive:",
            self.record.alive_at_the_end(),
            Vec::new(),
        )
    }
}

/// Goes no further where the implementation does not have what the rule is about.
pub(crate) fn needs(subject: &dyn Adapter, capability: Capability) -> Checked {
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{capability}: {why}")))
}

pub(crate) fn configure(subject: &dyn Adapter, settings: &Settings) -> Checked<Group> {
    settings.needs().try_for_each(|capability| needs(subject, capability))?;
    Ok(subject.group(settings)?)
}
