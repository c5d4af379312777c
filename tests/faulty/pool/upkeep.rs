//! Idle objects that are missing or too old.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Fault,
    shared::Shared,
    state::{Effects, State},
};

/// The time from one look to the next.
const PERIOD: Duration = Duration::from_millis(100);

/// The time before the end of an object at which another one is created.
const AHEAD: Duration = Duration::from_secs(5);

/// Begins the upkeep, as a task that ends with the pool.
pub(super) fn start(shared: &Arc<Shared>) {
    if shared.fault == Fault::CreatesAtOnce {
        shared.update(|state, effects| state.create_below(state.max, effects));
    }
    let settings = &shared.settings;
    if settings.min_idle == 0 && settings.idle_timeout.is_none() && settings.max_lifetime.is_none() {
        return;
    }
    let weak = Arc::downgrade(shared);
    let task = shared.spawn(async move {
        while let Some(shared) = weak.upgrade() {
            shared.update(look);
            drop(shared);
            sleep(PERIOD).await;
        }
    });
    shared.state().tasks.push((0, false, task));
}

fn look(state: &mut State, effects: &mut Effects) {
    let (now, fault, min_idle) = (Instant::now(), state.fault, state.settings.min_idle);
    let floor = if fault == Fault::DropsAllIdleObjects { 0 } else { min_idle };
    for place in (0..state.idle.len()).rev() {
        let entry = &state.idle[place];
        let idle_since = if fault == Fault::CountsUseAsIdle { entry.born } else { entry.idle_since };
        let is_idle = state.settings.idle_timeout.is_some_and(|limit| now - idle_since >= limit)
            && state.idle.len() > floor
            && fault != Fault::NeverDropsIdleObjects;
        let is_expired = entry.expires.is_some_and(|end| end <= now) && fault != Fault::ExpiresInUseOnly;
        if is_idle || is_expired {
            effects.dropped.extend(state.idle.remove(place));
        }
    }
    if fault == Fault::KeepsNoneIdle {
        return;
    }
    let ahead = if fault == Fault::ReplacesAfterTheEnd { Duration::ZERO } else { AHEAD };
    let lasts = state.idle.iter().filter(|entry| entry.expires.is_none_or(|end| end > now + ahead)).count();
    for _ in lasts + state.creating..min_idle {
        if state.may_create() {
            state.begin_creation(0, effects);
        }
    }
}
