//! The creation of an object.

use std::sync::Arc;

use tokio::time::timeout;

use crate::seat::{Seat, Seated};
use crate::{GetError, Manage};

/// Creates an object, as a task of the pool.
pub(crate) async fn create<M: Manage>(seat: Seat<M>) {
    let shared = Arc::clone(seat.shared());
    let limit = shared.limits.create_timeout;
    let work = async {
        match timeout(limit, shared.manager.create()).await {
            Ok(Ok(object)) => Seated { object, seat }.created(),
            Ok(Err(error)) => seat.fail(GetError::Create(error)),
            Err(_) => seat.fail(GetError::CreateTimeout(limit)),
        }
    };
    shared.own(work).await;
}
