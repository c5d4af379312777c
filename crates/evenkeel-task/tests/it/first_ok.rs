//! The first success of several futures.

use std::{future::pending, time::Duration};

use evenkeel_task::{AllFailed, catch_panic, first_ok, using};
use evenkeel_testkit::{World, assert_took, cancel, took};
use proptest::{collection::vec, prelude::*};
use tokio::time::sleep;

use crate::{Alive, alive, ms, throw};

type Entrant = std::pin::Pin<Box<dyn Future<Output = Result<u8, &'static str>> + Send>>;

async fn entrant(at: u64, ok: bool) -> Result<u64, u64> {
    sleep(ms(at)).await;
    if ok { Ok(at) } else { Err(at) }
}

#[test]
fn nothing_to_try_fails_at_once() {
    World::run(async |_| {
        let error =
            assert_took!(first_ok(Vec::<std::future::Ready<Result<(), u8>>>::new()), ms(0)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.errors.len()), ("there was nothing to try", 0));
    });
}

#[test]
fn the_clean_up_of_the_losers_is_awaited() {
    World::run(async |_| {
        let left = Alive::default();
        let loser = |mine: Alive| async move {
            let release = async |mine: Alive| {
                sleep(ms(40)).await;
                drop(mine);
            };
            let body = async |_mine| pending::<Result<u8, evenkeel_task::BoxError>>().await;
            using(std::future::ready(Ok::<_, &str>(mine)), release, body).await.map_err(|_| "lost")
        };
        let (one, two) = (left.clone(), left.clone());
        let entrants: Vec<Entrant> = vec![
            Box::pin(loser(one)),
            Box::pin(async {
                sleep(ms(10)).await;
                Ok(7)
            }),
            Box::pin(loser(two)),
        ];
        assert_eq!(assert_took!(first_ok(entrants), ms(50)), Ok(7));
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn a_panic_goes_on_when_the_others_have_ended() {
    World::run(async |_| {
        let left = Alive::default();
        let run = first_ok([false, true].map(|panics| {
            let mine = left.clone();
            async move {
                sleep(ms(5)).await;
                if panics {
                    throw("bug")
                }
                pending::<()>().await;
                drop(mine);
                Ok::<_, u8>(1)
            }
        }));
        assert_eq!(assert_took!(catch_panic(run), ms(5)).unwrap_err().message(), Some("bug"));
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn of_two_at_the_same_time_one_is_taken() {
    World::run(async |_| {
        let winner = first_ok([entrant(5, false), entrant(9, true), entrant(9, true)]);
        assert_eq!(assert_took!(winner, ms(9)), Ok(9));
    });
}

#[test]
fn dropping_it_leaves_nothing() {
    let cuts = cancel::every_point(
        async || Alive::default(),
        async |left| {
            let entrants = [3, 2].map(|at| {
                let mine = left.clone();
                async move {
                    let output = entrant(at, at == 3).await;
                    drop(mine);
                    output
                }
            });
            first_ok(entrants).await.unwrap();
        },
        async |left: Alive| assert_eq!(alive(&left), 0),
    );
    assert_eq!(cuts.points(), 1);
}

/// Runs a future in a runtime that is shut down while it waits.
fn in_a_runtime_that_goes<F: Future>(work: impl FnOnce() -> F) -> F::Output {
    let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = gone.handle().clone();
    World::run(async |_| {
        let mut run = Box::pin(work());
        let inside = handle.enter();
        assert!(crate::poll(&mut run).is_pending());
        drop(inside);
        gone.shutdown_background();
        run.await
    })
}

#[test]
fn a_runtime_that_goes_is_no_lack_of_success() {
    let none = || in_a_runtime_that_goes(|| first_ok([pending::<Result<u8, u8>>(), pending()]));
    let panic = evenkeel_task::Panic::catch(none).unwrap_err();
    assert!(panic.message().unwrap().contains("runtime of the task was shut down"), "{panic}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_gives_the_first_success_or_all_errors(entrants in vec((1..50_u64, any::<bool>()), 1..10)) {
        let first = entrants.iter().filter(|(_, ok)| *ok).map(|(at, _)| *at).min();
        let last = entrants.iter().map(|(at, _)| *at).max().unwrap();
        let (output, time): (Result<u64, AllFailed<u64>>, Duration) = World::run(async |_| {
            took(first_ok(entrants.iter().map(|(at, ok)| entrant(*at, *ok)).collect::<Vec<_>>())).await
        });
        prop_assert_eq!(time, ms(first.unwrap_or(last)));
        match first {
            Some(first) => prop_assert_eq!(output, Ok(first)),
            None => prop_assert_eq!(output.unwrap_err().errors, entrants.iter().map(|(at, _)| *at).collect::<Vec<_>>()),
        }
    }
}
