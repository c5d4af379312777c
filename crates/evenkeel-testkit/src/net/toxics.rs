//! The faults of one direction of a link.

use std::time::Duration;

/// The faults of one direction of a link, in the vocabulary of
/// [Toxiproxy](https://github.com/Shopify/toxiproxy#toxics); nothing by default.
///
/// They are data: a set can be a `const`, and serve several links. Bytes are counted for each connection,
/// from its opening; times are tokio's. All of a set are in force at once: a piece first waits for its turn
/// (`bandwidth`, `slicer`), then travels (`latency`, `jitter`), then may be held back (`stall`, `partition`,
/// `timeout`). No byte overtakes another.
///
/// | toxic | default |
/// |---|---|
/// | `latency`, `jitter`, `slow_close` | zero |
/// | all others | off |
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{MemNet, Toxics}};
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// const MODEM: Toxics = Toxics::new().latency(Duration::from_millis(150)).bandwidth(7000);
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     net.link("bbs.test:23").downstream(MODEM);
///     let mut listener = net.listen("bbs.test:23").unwrap();
///     let mut client = net.connect("bbs.test:23").await.unwrap();
///     let mut server = listener.accept().await;
///
///     server.write_all(&[b'x'; 35_000]).await.unwrap();
///     let page = async { client.read_exact(&mut [0; 35_000]).await.unwrap() };
///     assert_took!(page, Duration::from_millis(5150));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "toxics do nothing until a link has them"]
pub struct Toxics {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) bandwidth: Option<u64>,
    pub(super) slow_close: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) reset_peer: Option<Duration>,
    pub(super) slicer: Option<Slicer>,
    pub(super) limit_data: Option<u64>,
    pub(super) reset_data: Option<u64>,
    pub(super) stall: Option<(u64, Duration)>,
    pub(super) partition: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slicer {
    pub(super) average: usize,
    pub(super) variation: usize,
    pub(super) delay: Duration,
}

impl Toxics {
    /// No toxics.
    pub const fn new() -> Self {
        Toxics {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bandwidth: None,
            slow_close: Duration::ZERO,
            timeout: None,
            reset_peer: None,
            slicer: None,
            limit_data: None,
            reset_data: None,
            stall: None,
            partition: false,
        }
    }

    /// Delays each byte, and the end of the stream, by this much.
    ///
    /// It does not delay connects: see [`Link::connect_delay`](super::Link::connect_delay).
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Varies the latency of each written piece by up to this much in both directions, not below zero; the
    /// network's seed decides.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Carries this many bytes in a second, exactly, in portions of up to 100 ms.
    ///
    /// # Panics
    ///
    /// If it is zero: that is a [`partition`](Self::partition).
    #[track_caller]
    pub const fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        assert!(bytes_per_second > 0, "a bandwidth of zero");
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Delays the end of the stream by this much.
    pub const fn slow_close(mut self, delay: Duration) -> Self {
        self.slow_close = delay;
        self
    }

    /// Holds all bytes back, and closes the connection this long after it was opened, or after this was
    /// set; the bytes held back are lost.
    pub const fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// Resets the connection this long after it was opened, or after this was set.
    pub const fn reset_peer(mut self, after: Duration) -> Self {
        self.reset_peer = Some(after);
        self
    }

    /// Cuts written bytes into slices of `average` bytes, plus or minus `variation`, that leave `delay` after
    /// each other; a read returns at most one. The network's seed decides.
    ///
    /// # Panics
    ///
    /// If `average` is zero, or less than `variation`.
    #[track_caller]
    pub const fn slicer(mut self, average: usize, variation: usize, delay: Duration) -> Self {
        assert!(average > 0, "slices of zero bytes");
        assert!(variation <= average, "slices that vary by more than their size");
        self.slicer = Some(Slicer { average, variation, delay });
        self
    }

    /// Closes the connection, in both directions, as soon as it has carried this many bytes.
    ///
    /// Bytes sent until then still arrive. With zero, it is closed as soon as it is open.
    pub const fn limit_data(mut self, bytes: u64) -> Self {
        self.limit_data = Some(bytes);
        self
    }

    /// Resets the connection as soon as it has carried this many bytes.
    ///
    /// Bytes sent until then still arrive. With zero, it is reset as soon as it is open.
    pub const fn reset_data(mut self, bytes: u64) -> Self {
        self.reset_data = Some(bytes);
        self
    }

    /// Lets the first `bytes` through, and delays all later bytes by `pause`.
    pub const fn stall(mut self, bytes: u64, pause: Duration) -> Self {
        self.stall = Some((bytes, pause));
        self
    }

    /// Holds all bytes back as long as it is in force; they arrive when it ends.
    ///
    /// Writes succeed until the buffer is full, and connecting waits, as if packets were lost.
    pub const fn partition(mut self) -> Self {
        self.partition = true;
        self
    }

    /// The number of bytes after which the connection ends.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit_data.into_iter().chain(self.reset_data).min()
    }

    /// Whether arrived bytes are held back.
    pub(super) fn hold_back(&self) -> bool {
        self.partition || self.timeout.is_some()
    }

    /// Whether the clock ends connections.
    pub(super) fn are_timed(&self) -> bool {
        self.timeout.or(self.reset_peer).is_some()
    }
}
