//! How do ten thousand clients load a server after an outage of half a minute? A simulation of the policies'
//! own arithmetic, and a picture: `cargo run -p cookbook --bin fleet > fleet.svg`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a picture, and figures beside it")]

use std::{cmp::Reverse, collections::BinaryHeap, fmt::Write as _, time::Duration};

use evenkeel_retry::{Backoff, Budget, BudgetPermit, Jitter};

const CLIENTS: u64 = 10_000;
const OUTAGE: std::ops::Range<u64> = 5_000..35_000;
const END: u64 = 60_000;
/// The interval of the calls of a client; all times are in milliseconds.
const EVERY: u64 = 10_000;
const ATTEMPTS: u32 = 4;
const BAR: u64 = 250;

pub(crate) struct Fleet {
    pub(crate) name: &'static str,
    backoff: Backoff,
    budget: Option<Budget>,
}

pub(crate) struct Outcome {
    bars: Vec<u32>,
    /// The calls during the outage, divided by the calls without retries.
    pub(crate) amplification: f64,
    /// The maximum of calls in a bar after the outage.
    pub(crate) peak: u32,
}

/// Simulates the attempts of all clients in the order of their times.
pub(crate) fn simulate(fleet: &Fleet) -> Outcome {
    let mut queue: BinaryHeap<Reverse<(u64, u64, u32)>> =
        (0..CLIENTS).map(|client| Reverse((client * EVERY / CLIENTS, client, 1))).collect();
    let mut bars = vec![0; usize::try_from(END / BAR).unwrap_or_default()];
    let (mut first, mut all) = (0_u32, 0_u32);
    while let Some(Reverse((at, client, attempt))) = queue.pop() {
        if attempt == 1 {
            if at + EVERY < END {
                queue.push(Reverse((at + EVERY, client, 1)));
            }
            fleet.budget.iter().for_each(Budget::deposit);
        }
        if let Some(bar) = usize::try_from(at / BAR).ok().and_then(|bar| bars.get_mut(bar)) {
            *bar += 1;
        }
        if OUTAGE.contains(&at) {
            all += 1;
            first += u32::from(attempt == 1);
            let allowed = |budget: &Budget| budget.try_withdraw().map(BudgetPermit::spend).is_some();
            if attempt < ATTEMPTS && fleet.budget.as_ref().is_none_or(allowed) {
                let delay = fleet.backoff.delay(attempt, client ^ at << 20).as_millis();
                queue.push(Reverse((at + u64::try_from(delay).unwrap_or(END), client, attempt + 1)));
            }
        }
    }
    let after = usize::try_from(OUTAGE.end / BAR).unwrap_or_default();
    let peak = bars[after..].iter().copied().max().unwrap_or_default();
    Outcome { bars, amplification: f64::from(all) / f64::from(first), peak }
}

/// The same clients with three policies.
pub(crate) fn fleets() -> [Fleet; 3] {
    let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(8));
    [
        Fleet { name: "no jitter, no budget", backoff: backoff.jitter(Jitter::None), budget: None },
        Fleet { name: "full jitter, no budget", backoff, budget: None },
        Fleet {
            name: "full jitter, a budget of 10 %",
            backoff,
            budget: Some(Budget::percent(10).per_second(0).reserve(100)),
        },
    ]
}

/// Draws the fleets.
pub(crate) fn picture(fleets: &[Fleet]) -> String {
    let (width, height) = (720, 150);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{}" font-family="sans-serif" font-size="12">"#,
        height * fleets.len()
    );
    for (row, fleet) in fleets.iter().enumerate() {
        let outcome = simulate(fleet);
        let amplification = outcome.amplification;
        let base = (row + 1) * height - 20;
        let x = |millis: u64| millis * width / END;
        let (left, right) = (x(OUTAGE.start), x(OUTAGE.end));
        let _ = write!(
            svg,
            r##"<rect x="{left}" y="{}" width="{}" height="{}" fill="#f1f3f5"/>"##,
            base - (height - 40),
            right - left,
            height - 40
        );
        for (bar, calls) in (0_u64..).zip(&outcome.bars) {
            let tall = calls / 12;
            let (x, y) = (x(bar * BAR), u32::try_from(base).unwrap_or_default().saturating_sub(tall));
            let _ = write!(svg, r##"<rect x="{x}" y="{y}" width="2" height="{tall}" fill="#0b7285"/>"##);
        }
        let _ = write!(
            svg,
            r#"<text x="4" y="{}">{}: {amplification:.2} times the calls while the server is down (grey)</text>"#,
            base - (height - 40) - 6,
            fleet.name
        );
    }
    svg + "</svg>"
}

fn main() {
    for fleet in &fleets() {
        let Outcome { amplification, peak, .. } = simulate(fleet);
        eprintln!("{}: {amplification:.2} times the calls in the outage, peak after it {peak}", fleet.name);
    }
    println!("{}", picture(&fleets()));
}
