//! Measuring a row: all entrants in turn, round after round, so that a disturbance affects all of them.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    measure::Sample,
    results::{Build, Cost, Line},
    row::{Entrant, FLOOR, Metric, OURS, Row},
    stats::{median, noise, quantile},
};

/// The duration and number of measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// The minimum time of a round.
    pub(crate) round: Duration,
    /// The divisor of a round that does a fixed number of operations.
    pub(crate) divisor: u64,
}

impl Effort {
    pub(crate) const QUICK: Self = Self { rounds: 9, round: Duration::from_millis(2), divisor: 10 };
    pub(crate) const FULL: Self = Self { rounds: 41, round: Duration::from_millis(15), divisor: 1 };
}

/// Measures all entrants of a row against each other.
pub(crate) fn run(mut row: Row, effort: Effort, build: &Build) -> Vec<Line> {
    let fixed = row.operations.map(|operations| (operations / effort.divisor).max(1));
    let enough = |entrant| fixed.unwrap_or_else(|| calibrate(entrant, effort.round));
    let operations: Vec<u64> = row.entrants.iter_mut().map(enough).collect();
    let mut samples = vec![Vec::new(); row.entrants.len()];
    for round in 0..row.rounds.unwrap_or(effort.rounds) {
        // Each round begins with another entrant, so that none always runs after the same neighbor.
        for turn in 0..row.entrants.len() {
            let index = (round + turn) % row.entrants.len();
            samples[index].push((row.entrants[index].round)(operations[index]));
        }
    }
    let measured = row.entrants.iter().zip(operations).zip(samples);
    let entrants =
        measured.map(|((entrant, n), samples)| (entrant.name.clone(), Measured { n, samples })).collect();
    row.metrics
        .iter()
        .map(|(metric, target)| line(&row.id_of(*metric), build, *metric, *target, &entrants))
        .collect()
}

/// Returns the number of operations that take long enough to be measured.
fn calibrate(entrant: &mut Entrant, least: Duration) -> u64 {
    let mut operations = 1;
    loop {
        let mut took = (entrant.round)(operations).wall;
        if took >= least {
            // Once may be the work of another process: a few operations would then be measured, and their setup with them.
            took = took.min((entrant.round)(operations).wall);
        }
        if took >= least || operations >= 1 << 32 {
            return operations;
        }
        // Extrapolates from the last round in small steps, since the first rounds warm caches up.
        let scale = least.as_nanos() / took.as_nanos().max(1);
        operations *= u64::try_from(scale.clamp(2, 100)).unwrap_or(2);
    }
}

struct Measured {
    n: u64,
    samples: Vec<Sample>,
}

impl Measured {
    fn values(&self, metric: Metric) -> Vec<f64> {
        self.samples.iter().map(|sample| metric.of(*sample, self.n)).collect()
    }

    fn cost(&self, metric: Metric) -> Cost {
        let values = self.values(metric);
        let allocations = self.samples.iter().map(|sample| sample.allocations as f64 / self.n as f64);
        Cost {
            min: round(quantile(&values, 0.0)),
            lower_quartile: round(quantile(&values, 0.25)),
            median: round(median(&values)),
            upper_quartile: round(quantile(&values, 0.75)),
            max: round(quantile(&values, 1.0)),
            wall: round(median(&self.values(Metric::Wall))),
            cpu: round(median(&self.values(Metric::Cpu))),
            allocations: round(median(&allocations.collect::<Vec<_>>())),
            clock_reads: None,
        }
    }
}

fn line(
    id: &str,
    build: &Build,
    metric: Metric,
    target: Option<f64>,
    entrants: &BTreeMap<String, Measured>,
) -> Line {
    let costs: BTreeMap<String, Cost> =
        entrants.iter().map(|(name, measured)| (name.clone(), measured.cost(metric))).collect();
    let peers = costs.iter().filter(|(name, _)| *name != OURS && *name != FLOOR);
    let best = peers.clone().min_by(|a, b| a.1.median.total_cmp(&b.1.median)).map(|(name, _)| name.clone());
    let ours = entrants.get(OURS).map(|ours| ours.values(metric));
    let ratios: Option<Vec<f64>> = ours.zip(best.as_ref()).map(|(ours, best)| {
        ours.iter().zip(entrants[best].values(metric)).map(|(ours, peer)| ours / peer).collect()
    });
    Line {
        id: id.to_owned(),
        build: build.clone(),
        unit: metric.unit().to_owned(),
        metric: metric.name().to_owned(),
        ours: costs.get(OURS).map(|cost| cost.median),
        peers: peers.map(|(name, cost)| (name.clone(), cost.median)).collect(),
        best_peer: best,
        ratio: ratios.as_deref().map(|ratios| round(median(ratios))),
        // Fewer rounds have no known error.
        noise: ratios.as_deref().filter(|ratios| ratios.len() > 2).map(|ratios| round(noise(ratios))),
        floor: costs.get(FLOOR).map(|cost| cost.median).filter(|cost| *cost > 0.0),
        target,
        costs,
    }
}

/// Rounds to four significant digits: more would be noise in a committed file.
pub(crate) fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.abs());
    if digits < 0 { (value / scale).round() * scale } else { (value * scale).round() / scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(nanos: u64) -> impl FnMut(u64) -> Sample {
        move |n| {
            let time = Duration::from_nanos(nanos * n);
            Sample { wall: time, cpu: time / 2, allocations: n, bytes: 8 * n as i64 }
        }
    }

    #[test]
    fn a_row_compares_with_the_best_peer_and_not_with_the_floor() {
        let build = Build { time: "2026-01-01T00:00:00Z".into(), commit: "1a2b3c4".into() };
        let row = Row::new("x/y", Metric::Wall)
            .target(0.8)
            .with_round(OURS, Box::new(fixed(60)))
            .with_round("slow", Box::new(fixed(400)))
            .with_round("fast", Box::new(fixed(100)))
            .with_round(FLOOR, Box::new(fixed(10)));
        let line = run(row, Effort::QUICK, &build).remove(0);
        assert_eq!(line.best_peer.as_deref(), Some("fast"));
        assert_eq!(
            (line.ours, line.ratio, line.noise, line.floor),
            (Some(60.0), Some(0.6), Some(0.0), Some(10.0))
        );
        assert_eq!(line.peers.len(), 2);
        assert_eq!(line.costs["fast"].cpu, 50.0);
        assert_eq!(line.costs["fast"].allocations, 1.0);
    }

    #[test]
    fn a_round_is_made_long_enough() {
        let mut entrant = Entrant { name: "x".into(), round: Box::new(fixed(10)), needs: None };
        let n = calibrate(&mut entrant, Duration::from_millis(2));
        assert!((200_000..20_000_000).contains(&n), "{n}");
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(round(123_456.0), 123_500.0);
        assert_eq!(round(0.001_234_56), 0.001_235);
        assert_eq!(round(2e9), 2e9);
        assert_eq!(round(0.0), 0.0);
    }
}
