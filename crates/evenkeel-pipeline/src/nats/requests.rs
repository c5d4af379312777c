//! The requests for messages that a server works off.
//!
//! A message does not tell for which request it came, and a server works several off in turns. So messages are counted
//! against all requests, in the order of these: the message behind the last one of a request has not left before the next
//! request was sent, whichever of the two the server has counted it for.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The most requests that are open at the same time, by our count.
const MOST: usize = 2;

/// The share of the room that is asked for still when the next request is made: earlier, and requests are small and many;
/// later, and the server waits. A server's work for a request is that for about ten messages. It is the half, as with other
/// clients: where a round trip takes as long as a window of messages, a later request is one that the server waits for.
const EARLY: usize = 2;

/// The time that a server and a network may be late.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) struct Requests {
    open: VecDeque<Request>,
    /// The number of the last one.
    last: u64,
    /// The time between two signs of life.
    heartbeat: Duration,
    last_sign: Instant,
    /// When the last one ends.
    end: Instant,
    /// An instant before everything that will come has left the server.
    since: Instant,
}

struct Request {
    number: u64,
    items: usize,
    remaining: usize,
    sent: Instant,
    heartbeats: u32,
}

impl Requests {
    pub(super) fn new(now: Instant) -> Self {
        let open = VecDeque::new();
        Self { open, last: 0, heartbeat: Duration::ZERO, last_sign: now, end: now, since: now }
    }

    /// The number of messages that are to come.
    pub(super) fn outstanding(&self) -> usize {
        self.open.iter().map(|request| request.remaining).sum()
    }

    /// Returns the number of messages to ask for when there is room for some: the next request is made when little of the last
    /// one is to come, so that the server has one to work off always, and all together never exceed the room.
    pub(super) fn worth(&self, room: usize) -> Option<usize> {
        let outstanding = self.outstanding();
        let is_worth = outstanding == 0 || outstanding <= room / EARLY && self.open.len() < MOST;
        (is_worth && room > 0).then(|| room - outstanding)
    }

    /// The number of the next request.
    pub(super) const fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Notes a request.
    pub(super) fn begin(&mut self, items: usize, sent: Instant, expires: Duration, heartbeat: Duration) {
        if self.open.is_empty() {
            (self.since, self.last_sign) = (sent, sent);
        }
        self.last += 1;
        self.heartbeat = heartbeat;
        self.end = self.end.max(sent + expires + MARGIN);
        self.open.push_back(Request { number: self.last, items, remaining: items, sent, heartbeats: 0 });
    }

    /// Counts a message, and returns an instant before which it has not left.
    pub(super) fn message(&mut self, now: Instant) -> Instant {
        self.last_sign = now;
        let since = self.since;
        self.take(1);
        since
    }

    /// Counts messages that will not come.
    fn take(&mut self, mut items: usize) {
        while let Some(front) = self.open.front_mut() {
            let taken = front.remaining.min(items);
            front.remaining -= taken;
            items -= taken;
            if front.remaining > 0 {
                return;
            }
            self.open.pop_front();
            if let Some(next) = self.open.front() {
                self.since = self.since.max(next.sent);
            }
        }
    }

    /// Notes a heartbeat.
    pub(super) fn heartbeat(&mut self, number: u64, now: Instant) {
        self.last_sign = now;
        if let Some(request) = self.open.iter_mut().find(|request| request.number == number) {
            request.heartbeats += 1;
            // The server cannot have sent it earlier.
            self.since = self.since.max(request.sent + self.heartbeat * request.heartbeats);
        }
    }

    /// Notes the end of a request before all of its messages have come: `rest` are missing. A server that does not tell has
    /// refused it.
    pub(super) fn ended(&mut self, number: u64, rest: Option<usize>, now: Instant) {
        self.last_sign = now;
        let refused =
            || self.open.iter().find(|request| request.number == number).map(|request| request.items);
        let rest = rest.or_else(refused).unwrap_or(0);
        self.take(rest);
    }

    /// The instant at which the server is late, if requests are open.
    pub(super) fn late_at(&self) -> Option<Instant> {
        (!self.open.is_empty()).then(|| (self.last_sign + 2 * self.heartbeat + MARGIN).min(self.end))
    }

    /// The instant from which nothing comes any more.
    pub(super) const fn end(&self) -> Instant {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn begin(requests: &mut Requests, items: usize, sent: Instant) {
        requests.begin(items, sent, ms(10_000), ms(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_is_made_before_the_last_one_ends_and_both_together_never_exceed_the_room() {
        let now = Instant::now();
        let mut requests = Requests::new(now);
        assert_eq!((requests.worth(0), requests.worth(1), requests.worth(64)), (None, Some(1), Some(64)));
        begin(&mut requests, 64, now);
        for _ in 0..31 {
            assert_eq!(requests.worth(64), None);
            requests.message(now);
        }
        assert_eq!((requests.outstanding(), requests.worth(64)), (33, None));
        requests.message(now);
        assert_eq!((requests.worth(63), requests.worth(64)), (None, Some(32)));
        begin(&mut requests, 32, now);
        assert_eq!(requests.outstanding(), 64);
        for _ in 0..31 {
            requests.message(now);
        }
        // Two are open, of which the first has one to come.
        assert_eq!((requests.outstanding(), requests.worth(1000)), (33, None));
        requests.message(now);
        assert_eq!(requests.worth(1000), Some(968));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_has_left_after_the_request_that_it_must_belong_to() {
        let start = Instant::now();
        let mut requests = Requests::new(start);
        begin(&mut requests, 4, start);
        assert_eq!(requests.message(start + ms(10)), start);
        begin(&mut requests, 2, start + ms(20));
        // Whichever request the server counts them for.
        for _ in 0..3 {
            assert_eq!(requests.message(start + ms(30)), start);
        }
        assert_eq!(requests.message(start + ms(30)), start + ms(20));
        requests.heartbeat(2, start + ms(1030));
        assert_eq!(requests.message(start + ms(1040)), start + ms(1020));
        assert_eq!((requests.outstanding(), requests.late_at()), (0, None));
        begin(&mut requests, 1, start + ms(2000));
        assert_eq!(requests.message(start + ms(2001)), start + ms(2000));
        // One too many has no request.
        assert_eq!(requests.message(start + ms(2001)), start + ms(2000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_request_that_has_ended_does_not_come() {
        let start = Instant::now();
        let mut requests = Requests::new(start);
        begin(&mut requests, 10, start);
        for _ in 0..5 {
            requests.message(start);
        }
        begin(&mut requests, 5, start + ms(20));
        // The server has worked off both in turns.
        for _ in 0..4 {
            requests.message(start + ms(30));
        }
        requests.ended(1, Some(3), start + ms(40));
        assert_eq!(requests.outstanding(), 3);
        assert_eq!(requests.message(start + ms(50)), start + ms(20));
        requests.ended(2, None, start + ms(60));
        assert_eq!(requests.outstanding(), 0);
        // Of one that is done by our count.
        requests.ended(1, None, start + ms(60));
        assert_eq!(requests.worth(8), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_a_sign_is_late() {
        let start = Instant::now();
        let mut requests = Requests::new(start);
        assert_eq!(requests.late_at(), None);
        begin(&mut requests, 10, start);
        assert_eq!(requests.late_at(), Some(start + ms(2500)));
        requests.heartbeat(1, start + ms(1000));
        assert_eq!(requests.late_at(), Some(start + ms(3500)));
        requests.message(start + ms(9000));
        assert_eq!(requests.late_at(), Some(start + ms(10_500)));
        assert_eq!(requests.end(), start + ms(10_500));
    }
}
