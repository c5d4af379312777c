//! The creation of an object.

use std::sync::Arc;

use evenkeel_task::catch_panic;
use tokio::time::{Instant, timeout, timeout_at};

use crate::seat::{Seat, Seated};
use crate::state::State;
use crate::{GetError, Manager};

/// Creates an object, as a task of the pool, from this time on if not at once.
pub(crate) async fn create<M: Manager>(seat: Seat<M>, from: Option<Instant>) {
    let shared = Arc::clone(seat.shared());
    let limit = shared.limits.create_timeout;
    let work = async {
        if let Some(from) = from {
            let recovered = shared.recovered.notified();
            if shared.read(State::is_failing) {
                // Either will do.
                let _ = timeout_at(from, recovered).await;
            }
            seat.begin();
        }
        match catch_panic(timeout(limit, shared.manager.create())).await {
            Ok(Ok(Ok(object))) => Seated { object, seat }.created(),
            Ok(Ok(Err(error))) if shared.manager.is_transient(&error) => seat.retry(error),
            Ok(Ok(Err(error))) => seat.refuse(error),
            Ok(Err(_)) => seat.fail(GetError::CreateTimeout(limit)),
            Err(panic) => seat.fail(GetError::Panic(panic)),
        }
    };
    shared.own(work).await;
}
