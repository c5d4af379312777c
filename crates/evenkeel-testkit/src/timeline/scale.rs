//! `Scale`: the axis of time, with breaks where nothing happens for long, and its ticks.

use super::{
    picture::{Life, Nanos, Picture},
    words,
};

/// A time without events is broken if it is that many times as long as all the rest.
const LONG: u64 = 8;

const MAX_BREAKS: usize = 6;

/// Maps times to positions.
#[derive(Debug)]
pub(super) struct Scale {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    from: Nanos,
    to: Nanos,
    left: f64,
    right: f64,
    is_break: bool,
}

/// A time that is written at the axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) label: String,
}

/// A time that is left out: its ends on the axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Break {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) length: Nanos,
}

impl Scale {
    /// Creates a scale for the events of a picture, from `left` to `right`, with breaks of this width.
    pub(super) fn new(picture: &Picture, left: f64, right: f64, break_width: f64) -> Self {
        Self::of(events(picture), left, right, break_width)
    }

    fn of(times: Vec<Nanos>, left: f64, right: f64, break_width: f64) -> Self {
        let broken = broken(&times);
        let is_broken = |pair: &[Nanos]| broken.contains(&pair[0]);
        let shown: u64 = times.windows(2).filter(|pair| !is_broken(pair)).map(|pair| pair[1] - pair[0]).sum();
        let room = right - left - break_width * broken.len() as f64;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut x = left;
        for pair in times.windows(2) {
            let (from, to, is_break) = (pair[0], pair[1], is_broken(pair));
            let width = if is_break { break_width } else { room * (to - from) as f64 / shown as f64 };
            match pieces.last_mut() {
                Some(last) if !last.is_break && !is_break => (last.to, last.right) = (to, x + width),
                _ => pieces.push(Piece { from, to, left: x, right: x + width, is_break }),
            }
            x += width;
        }
        if pieces.is_empty() {
            let at = times.first().copied().unwrap_or_default();
            pieces.push(Piece { from: at, to: at, left, right, is_break: false });
        }
        Self { pieces }
    }

    /// Returns the position of a time.
    pub(super) fn x(&self, at: Nanos) -> f64 {
        let piece = self.pieces.iter().find(|piece| at <= piece.to).or(self.pieces.last());
        let Some(Piece { from, to, left, right, .. }) = piece else { return 0.0 };
        let length = (to - from) as f64;
        let at = (at.clamp(*from, *to) - from) as f64;
        if length > 0.0 { left + (right - left) * at / length } else { *left }
    }

    pub(super) fn breaks(&self) -> impl Iterator<Item = Break> {
        let breaks = self.pieces.iter().filter(|piece| piece.is_break);
        breaks.map(|piece| Break { left: piece.left, right: piece.right, length: piece.to - piece.from })
    }

    /// Returns ticks at round times, with room for their labels, which are centered on them and as wide as `width` says.
    pub(super) fn ticks(&self, width: impl Fn(&str) -> f64) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = Vec::new();
        let mut free = f64::MIN;
        for piece in self.pieces.iter().filter(|piece| !piece.is_break) {
            for at in piece.round_times(&width) {
                let (x, label) = (self.x_in(piece, at), words::time(at));
                let half = width(&label) / 2.0;
                if x - half >= free {
                    free = x + half;
                    ticks.push(Tick { x, label });
                }
            }
        }
        ticks
    }

    #[expect(clippy::unused_self, reason = "beside `x`, which looks for the piece")]
    fn x_in(&self, piece: &Piece, at: Nanos) -> f64 {
        let length = (piece.to - piece.from).max(1) as f64;
        piece.left + (piece.right - piece.left) * (at - piece.from) as f64 / length
    }
}

impl Piece {
    /// Returns its times that are multiples of the smallest round step with room for labels; if there are none, its begin.
    fn round_times(&self, width: impl Fn(&str) -> f64) -> Vec<Nanos> {
        let Self { from, to, left, right, .. } = *self;
        let length = to - from;
        let fits = |step: Nanos| {
            let first = from.div_ceil(step).saturating_mul(step);
            let last = to / step * step;
            let middle = first.saturating_add((last.saturating_sub(first) / step / 2) * step);
            let widest = [first, middle, last, first.saturating_add(step)].map(|at| width(&words::time(at)));
            let room = (right - left) * step as f64 / length.max(1) as f64;
            widest.into_iter().fold(0.0, f64::max) < room
        };
        let step = steps().find(|step| fits(*step)).unwrap_or(Nanos::MAX);
        let mut times = Vec::new();
        let mut at = from.div_ceil(step).saturating_mul(step);
        while at <= to {
            times.push(at);
            let Some(next) = at.checked_add(step) else { break };
            at = next;
        }
        if times.is_empty() {
            times.push(from);
        }
        times
    }
}

/// Returns the round steps, the smallest first: decimal ones below a second, then those of a clock.
fn steps() -> impl Iterator<Item = Nanos> {
    const SECOND: Nanos = 1_000_000_000;
    let decimal = (0..9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let of_clock = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];
    let days = (0..6).flat_map(|power| [2, 5, 10].map(|digit| digit * 10_u64.pow(power) * 86_400));
    decimal.chain(of_clock.into_iter().chain(days).map(|seconds| seconds.saturating_mul(SECOND)))
}

/// Returns the begins of the stretches without events that are left out.
fn broken(times: &[Nanos]) -> Vec<Nanos> {
    let mut gaps: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    let mut rest: u64 = gaps.iter().map(|(length, _)| length).sum();
    let mut broken = Vec::new();
    for (length, from) in gaps {
        rest -= length;
        if rest == 0 || length / LONG < rest || broken.len() == MAX_BREAKS {
            break;
        }
        broken.push(from);
    }
    broken
}

/// Returns the times of all that happens, in order.
fn events(picture: &Picture) -> Vec<Nanos> {
    let mut times = vec![0, picture.end];
    for track in &picture.tracks {
        let (start, end) = track.extent(picture.end);
        times.push(start);
        if track.life != Life::Alive {
            times.push(end);
        }
        for bar in &track.bars {
            times.push(bar.start);
            times.extend(bar.end);
        }
        times.extend(track.marks.iter().map(|mark| mark.at));
    }
    times.extend(picture.crowds.iter().flat_map(|crowd| [crowd.start, crowd.end]));
    times.extend(picture.resources.iter().flat_map(|resource| resource.uses.iter().map(|used| used.at)));
    times.sort_unstable();
    times.dedup();
    times
}

#[cfg(test)]
mod tests {
    use super::{Nanos, Scale};

    #[test]
    fn times_up_to_the_last_one_have_places_and_ticks() {
        const END: Nanos = Nanos::MAX;
        for times in [
            vec![0],
            vec![END],
            vec![0, END],
            vec![0, 1, END - 1, END],
            vec![0, END - 1_001, END - 1_000, END],
            vec![END - 59_999_999_999, END - 1, END],
        ] {
            let scale = Scale::of(times.clone(), 12.0, 722.0, 26.0);
            let places: Vec<_> = times.iter().map(|at| scale.x(*at)).collect();
            assert!(
                places.is_sorted() && places.iter().all(|x| (12.0..=722.1).contains(x)),
                "{times:?}: {places:?}"
            );
            let ticks = scale.ticks(|label| 6.0 * label.len() as f64);
            assert!(!ticks.is_empty() && ticks.is_sorted_by(|a, b| a.x < b.x), "{times:?}: {ticks:?}");
        }
    }
}
