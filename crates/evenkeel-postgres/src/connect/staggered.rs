//! Attempts that begin one after the other and run side by side, as in RFC 8305 (Happy Eyeballs).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

/// Runs futures until one succeeds, and returns its output, or else all errors in the order of the futures.
///
/// The next future begins when one has failed, or `delay` after the last one began.
pub(crate) async fn staggered<T, E, F>(delay: Duration, futures: Vec<F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, Vec<E>>> + Unpin,
{
    let mut futures = futures.into_iter().enumerate().peekable();
    let (mut running, mut failed) = (Vec::new(), Vec::new());
    loop {
        running.extend(futures.next());
        if running.is_empty() {
            failed.sort_by_key(|(n, _)| *n);
            return Err(failed.into_iter().flat_map(|(_, errors): (usize, Vec<E>)| errors).collect());
        }
        let is_last = futures.peek().is_none();
        let mut next = pin!(sleep(delay));
        let mut failures = failed.len();
        let success = poll_fn(|cx| {
            let mut success = None;
            running.retain_mut(|(n, future)| match Pin::new(future).poll(cx) {
                _ if success.is_some() => true,
                Poll::Pending => true,
                Poll::Ready(Ok(output)) => {
                    success = Some(output);
                    false
                }
                Poll::Ready(Err(errors)) => {
                    failed.push((*n, errors));
                    false
                }
            });
            if success.is_some() || failed.len() > failures {
                failures = failed.len();
                return Poll::Ready(success);
            }
            if is_last { Poll::Pending } else { next.as_mut().poll(cx).map(|()| None) }
        })
        .await;
        if let Some(output) = success {
            return Ok(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use evenkeel_testkit::{World, assert_took};

    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    /// The behavior of a host: no answer, or this result after this number of seconds.
    type Behavior = Option<(u64, Result<&'static str, &'static str>)>;

    async fn try_all<const N: usize>(hosts: [Behavior; N]) -> Result<&'static str, Vec<&'static str>> {
        let one = |behavior: Behavior| async move {
            let Some((time, result)) = behavior else { return pending().await };
            sleep(SECS(time)).await;
            result.map_err(|error| vec![error])
        };
        staggered(SECS(5), hosts.map(|behavior| Box::pin(one(behavior))).into_iter().collect()).await
    }

    #[test]
    fn each_host_has_its_turn_and_then_company() {
        World::run(async |_| {
            // The first one is tried alone during its share of the time.
            assert_eq!(assert_took!(try_all([Some((4, Ok("a"))), Some((0, Ok("b")))]), SECS(4)), Ok("a"));
            // The next one begins at a failure, or at the end of the share.
            let refused = Some((1, Err("refused")));
            assert_eq!(assert_took!(try_all([refused, Some((1, Ok("b")))]), SECS(2)), Ok("b"));
            assert_eq!(assert_took!(try_all([None, Some((1, Ok("b")))]), SECS(6)), Ok("b"));
            assert_eq!(assert_took!(try_all([None, None, Some((0, Ok("c")))]), SECS(10)), Ok("c"));
            // A slow host is not given up.
            assert_eq!(assert_took!(try_all([Some((12, Ok("a"))), None]), SECS(12)), Ok("a"));
            assert_eq!(assert_took!(try_all([Some((7, Err("a"))), Some((1, Ok("b")))]), SECS(6)), Ok("b"));
            // All failures are returned, in the order of the hosts.
            let slow = Some((8, Err("slow")));
            assert_eq!(
                assert_took!(try_all([slow, refused, refused]), SECS(8)),
                Err(vec!["slow", "refused", "refused"])
            );
            assert_eq!(assert_took!(try_all([]), SECS(0)), Err(vec![]));
        });
    }
}
