//! The leases of the deliveries in hand, on our own clock.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use tokio::time::Instant;

use super::JetStreamReceipt;

/// The end of the lease of each message, of its last delivery that we have seen.
#[derive(Default)]
pub(super) struct Leases {
    by_sequence: HashMap<u64, Lease, BuildHasherDefault<SequenceHasher>>,
    /// The number at which those that have run out are removed next.
    sweep_at: usize,
}

/// Spreads numbers that a server counts up.
#[derive(Default)]
struct SequenceHasher(u64);

impl Hasher for SequenceHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: the upper bits depend on all, and the table looks at both ends.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Lease {
    generation: u32,
    delivered: u64,
    end: Instant,
}

impl Leases {
    pub(super) fn insert(&mut self, receipt: &JetStreamReceipt, end: Instant, now: Instant) {
        if self.by_sequence.len() >= self.sweep_at {
            self.by_sequence.retain(|_, lease| lease.end > now);
            self.sweep_at = 2 * self.by_sequence.len() + 1024;
        }
        let lease = Lease { generation: receipt.generation, delivered: receipt.delivered, end };
        match self.by_sequence.entry(receipt.sequence) {
            // Deliveries may overtake each other.
            Entry::Occupied(last) if last.get().number() > lease.number() => {}
            Entry::Occupied(mut last) => *last.get_mut() = lease,
            Entry::Vacant(vacant) => {
                vacant.insert(lease);
            }
        }
    }

    /// Returns the end of the lease of a delivery, if no later one is known.
    pub(super) fn end(&self, receipt: &JetStreamReceipt) -> Option<Instant> {
        self.by_sequence.get(&receipt.sequence).filter(|lease| is_of(lease, receipt)).map(|lease| lease.end)
    }

    /// Whether a delivery has its lease still.
    pub(super) fn holds(&self, receipt: &JetStreamReceipt, now: Instant) -> bool {
        self.end(receipt).is_some_and(|end| end > now)
    }

    pub(super) fn extend(&mut self, receipt: &JetStreamReceipt, end: Instant) {
        if let Some(lease) = self.by_sequence.get_mut(&receipt.sequence).filter(|lease| is_of(lease, receipt))
        {
            lease.end = lease.end.max(end);
        }
    }

    pub(super) fn remove(&mut self, receipt: &JetStreamReceipt) {
        if let Entry::Occupied(lease) = self.by_sequence.entry(receipt.sequence)
            && is_of(lease.get(), receipt)
        {
            lease.remove();
        }
    }
}

impl Lease {
    const fn number(&self) -> (u32, u64) {
        (self.generation, self.delivered)
    }
}

fn is_of(lease: &Lease, receipt: &JetStreamReceipt) -> bool {
    lease.number() == (receipt.generation, receipt.delivered)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn receipt(sequence: u64, delivered: u64) -> JetStreamReceipt {
        let reply = format!("$JS.ACK.S.c.{delivered}.{sequence}.7.17.42");
        JetStreamReceipt::parse(&reply, 0, None).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_with_its_time_or_a_later_delivery() {
        let (now, wait) = (Instant::now(), Duration::from_secs(1));
        let mut leases = Leases::default();
        leases.insert(&receipt(1, 1), now + wait, now);
        assert!(leases.holds(&receipt(1, 1), now));
        assert!(!leases.holds(&receipt(1, 1), now + wait));
        leases.extend(&receipt(1, 1), now + 3 * wait);
        assert!(leases.holds(&receipt(1, 1), now + 2 * wait));
        leases.insert(&receipt(1, 2), now + wait, now);
        assert!(!leases.holds(&receipt(1, 1), now));
        // A late extension or settlement of the first does not touch the second.
        leases.extend(&receipt(1, 1), now + 9 * wait);
        leases.remove(&receipt(1, 1));
        leases.insert(&receipt(1, 1), now + 9 * wait, now);
        assert!(leases.holds(&receipt(1, 2), now));
        assert!(!leases.holds(&receipt(1, 2), now + wait));
        leases.remove(&receipt(1, 2));
        assert!(!leases.holds(&receipt(1, 2), now));
    }

    #[tokio::test(start_paused = true)]
    async fn leases_that_nobody_settles_are_removed() {
        let (now, wait) = (Instant::now(), Duration::from_secs(1));
        let mut leases = Leases::default();
        for sequence in 0..100_000 {
            let at = now + wait * u32::try_from(sequence / 100).unwrap();
            leases.insert(&receipt(sequence, 1), at + wait, at);
        }
        assert!(leases.by_sequence.len() < 3000, "{}", leases.by_sequence.len());
    }
}
