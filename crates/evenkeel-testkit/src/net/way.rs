//! The two directions of a link.

/// A direction: up is from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// One thing for each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair<T> {
    pub(super) up: T,
    pub(super) down: T,
}

impl Way {
    pub(super) const BOTH: [Way; 2] = [Way::Up, Way::Down];

    pub(super) fn back(self) -> Way {
        match self {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        }
    }
}

impl<T> Pair<T> {
    pub(super) fn get(&self, way: Way) -> &T {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    pub(super) fn get_mut(&mut self, way: Way) -> &mut T {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}
