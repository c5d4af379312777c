//! The two directions of a link, and a value for each.

/// A direction of bytes: `Up` is from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// A value for each direction, that for `Up` first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerDirection<T>(pub(super) [T; 2]);

impl Direction {
    pub(super) const BOTH: [Direction; 2] = [Direction::Up, Direction::Down];

    pub(super) fn reverse(self) -> Direction {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }
}

impl<T> PerDirection<T> {
    pub(super) fn get(&self, direction: Direction) -> &T {
        &self.0[direction as usize]
    }

    pub(super) fn get_mut(&mut self, direction: Direction) -> &mut T {
        &mut self.0[direction as usize]
    }
}
