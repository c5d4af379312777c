//! Windows: never more than the number of the rate, wherever the stretch of time begins.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-45" limit_45 "A sliding window grants its number at most in any stretch as long as it is."),
    rule!(Must "LIMIT-46" limit_46 "A permit of a sliding window is there again when a window has passed."),
];

async fn limit_45(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::sliding(10, secs(1)))?;
    harness.take(1);
    for step in [500, 490, 10, 500, 490, 10] {
        advance(ms(step)).await;
        harness.take(20);
    }
    let granted = harness.granted();
    for begin in &granted {
        let count = granted.iter().filter(|at| (*begin..*begin + secs(1)).contains(*at)).count();
        harness.require(count <= 10, format_args!("at most 10 in the second from {begin:?} on"), count)?;
    }
    Ok(())
}

async fn limit_46(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::sliding(10, secs(1)))?;
    harness.grants("at the beginning", 1, 1)?;
    advance(ms(500)).await;
    harness.grants("after 500ms", 20, 9)?;
    advance(ms(500)).await;
    harness.grants("a second after the first of ten", 20, 1)?;
    advance(ms(500)).await;
    harness.grants("a second after nine more", 20, 9)
}
