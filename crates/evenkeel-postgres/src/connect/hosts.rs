//! The hosts of a database, and the way to one of them.

use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig};
use evenkeel_pool::{Adopted, Deadpool, Manager as _};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts};

use crate::connect::link::{Dial, Link, Once};
use crate::connect::progress::Attempt;
use crate::connect::{HostError, Reason};
use crate::connection::lock;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(IpAddr, u16),
    Unix(PathBuf, u16),
}

/// One of the hosts of the configuration.
#[derive(Clone)]
struct Place {
    index: usize,
    host: Option<Host>,
    addr: Option<IpAddr>,
    port: u16,
}

/// Tries the hosts of a configuration.
pub(crate) struct Hosts {
    config: Config,
    // All but the hosts.
    base: Config,
    dial: Dial,
    // The number of the host that answered last, and its address.
    answered: Mutex<Option<(usize, Address)>>,
}

/// A new connection, where it leads to, and how it ends.
pub(crate) struct Connected {
    pub(crate) client: Adopted<Manager>,
    pub(crate) address: Option<Address>,
    pub(crate) link: Link,
}

/// The other side of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: Address,
    pub(crate) is_encrypted: bool,
}

type Attempting<'a> = Pin<Box<dyn Future<Output = Result<Connected, Vec<HostError>>> + Send + 'a>>;

/// The time that there is for all hosts.
#[derive(Clone, Copy)]
struct Time {
    begin: Instant,
    limit: Duration,
}

impl Time {
    fn left(self) -> Duration {
        self.limit.saturating_sub(self.begin.elapsed())
    }
}

impl Hosts {
    pub(crate) fn new(config: Config, dial: Dial) -> Self {
        let base = with_time_limits(without_hosts(&config));
        Self { config, base, dial, answered: Mutex::new(None) }
    }

    /// Makes a connection to the first host that answers, within `limit`.
    ///
    /// Each host has its share of `turns` for itself. Then the next one is tried beside it, as it is when the host
    /// before has failed.
    pub(crate) async fn connect(
        &self,
        turns: Duration,
        limit: Duration,
        attempt: &Attempt,
    ) -> Result<Connected, Vec<HostError>> {
        let Some(places) = self.places() else {
            // It says what is wrong with the configuration.
            return self
                .adopt(self.config.clone(), None)
                .await
                .map_err(|error| vec![HostError::new("the host".to_owned(), Reason::Client(error))]);
        };
        let turn = share(turns, places.len());
        let time = Time { begin: Instant::now(), limit };
        let mut each: Vec<Attempting<'_>> = Vec::new();
        for place in places {
            each.push(Box::pin(self.connect_host(place, turn, time, attempt)));
        }
        staggered(turn, each).await
    }

    async fn connect_host(
        &self,
        place: Place,
        turns: Duration,
        time: Time,
        attempt: &Attempt,
    ) -> Result<Connected, Vec<HostError>> {
        let addresses = self.addresses(&place, time, attempt).await?;
        let turn = share(turns, addresses.len());
        let mut each: Vec<Attempting<'_>> = Vec::new();
        for address in addresses {
            each.push(Box::pin(self.connect_to(&place, address, time, attempt)));
        }
        let connected = staggered(turn, each).await?;
        *lock(&self.answered) = connected.address.clone().map(|address| (place.index, address));
        Ok(connected)
    }

    /// The hosts in the order in which they are tried, if the configuration is sound.
    fn places(&self) -> Option<Vec<Place>> {
        let (hosts, addrs, ports) =
            (self.config.get_hosts(), self.config.get_hostaddrs(), self.config.get_ports());
        let count = hosts.len().max(addrs.len());
        let fits = |len: usize| len == 0 || len == count;
        if count == 0 || !fits(hosts.len()) || !fits(addrs.len()) || !(ports.len() < 2 || fits(ports.len())) {
            return None;
        }
        let port = |index| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let place = |index| Place {
            index,
            host: hosts.get(index).cloned(),
            addr: addrs.get(index).copied(),
            port: port(index),
        };
        let mut places: Vec<_> = (0..count).map(place).collect();
        if self.is_balanced() {
            let random = RandomState::new();
            places.sort_by_key(|place| random.hash_one(place.index));
        } else if let Some((answered, _)) = &*lock(&self.answered) {
            places.sort_by_key(|place| place.index != *answered);
        }
        Some(places)
    }

    fn is_balanced(&self) -> bool {
        self.config.get_load_balance_hosts() == LoadBalanceHosts::Random
    }

    /// The addresses of a host in the order in which they are tried; at least one.
    async fn addresses(
        &self,
        place: &Place,
        time: Time,
        attempt: &Attempt,
    ) -> Result<Vec<Address>, Vec<HostError>> {
        let name = match (place.addr, &place.host) {
            (Some(addr), _) => return Ok(vec![Address::Tcp(addr, place.port)]),
            (None, Some(Host::Tcp(name))) => name,
            #[cfg(unix)]
            (None, Some(Host::Unix(dir))) => return Ok(vec![Address::Unix(dir.clone(), place.port)]),
            (None, None) => return Ok(Vec::new()),
        };
        let host = format!("{name}:{}", place.port);
        let limit = time.left();
        let asked = attempt.ask(host.clone());
        let looked_up = timeout(limit, lookup_host((name.as_str(), place.port))).await;
        let reason = match looked_up {
            Ok(Ok(found)) => {
                let mut addresses: Vec<_> = Vec::new();
                for found in found {
                    let address = Address::Tcp(found.ip(), place.port);
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                self.order(&mut addresses);
                if !addresses.is_empty() {
                    attempt.done(asked);
                    return Ok(addresses);
                }
                Reason::Lookup(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
            }
            Ok(Err(error)) => Reason::Lookup(error),
            Err(_) => Reason::NoAnswer(limit),
        };
        Err(told(attempt, asked, host, reason))
    }

    fn order(&self, addresses: &mut [Address]) {
        if self.is_balanced() {
            let random = RandomState::new();
            addresses.sort_by_cached_key(|address| random.hash_one(address.to_string()));
        } else if let Some((_, answered)) = &*lock(&self.answered) {
            addresses.sort_by_key(|address| address != answered);
        }
    }

    async fn connect_to(
        &self,
        place: &Place,
        address: Address,
        time: Time,
        attempt: &Attempt,
    ) -> Result<Connected, Vec<HostError>> {
        let mut config = self.base.clone();
        match &place.host {
            Some(Host::Tcp(name)) => {
                config.host(name);
            }
            #[cfg(unix)]
            Some(Host::Unix(dir)) => {
                config.host_path(dir);
            }
            None => {}
        }
        if let Address::Tcp(addr, _) = address {
            config.hostaddr(addr);
        }
        config.port(place.port);
        let host = match &place.host {
            Some(Host::Tcp(name)) if !matches!(&address, Address::Tcp(addr, _) if addr.to_string() == *name) =>
            {
                format!("{name} ({address})")
            }
            _ => address.to_string(),
        };
        let limit = time.left();
        let asked = attempt.ask(host.clone());
        let connected = timeout(limit, self.adopt(config, Some(address))).await;
        let reason = match connected {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => Reason::Client(error),
            Err(_) => Reason::NoAnswer(limit),
        };
        Err(told(attempt, asked, host, reason))
    }

    async fn adopt(
        &self,
        config: Config,
        address: Option<Address>,
    ) -> Result<Connected, tokio_postgres::Error> {
        let link = Link::default();
        let connect = Once { dial: Arc::clone(&self.dial), link: link.clone() };
        let manager = Manager::from_connect(config, connect, ManagerConfig::default());
        Ok(Connected { client: Deadpool::new(manager).create().await?, address, link })
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It leaves out the password.
        self.config.fmt(f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr, port) => std::net::SocketAddr::new(*addr, *port).fmt(f),
            Self::Unix(dir, port) => write!(f, "{}", dir.join(format!(".s.PGSQL.{port}")).display()),
        }
    }
}

/// The failure of one host, which those who run out of time before the others have ended are told as well.
fn told(attempt: &Attempt, asked: usize, host: String, reason: Reason) -> Vec<HostError> {
    let error = HostError::new(host, reason);
    attempt.failed(asked, &error);
    vec![error]
}

fn share(time: Duration, count: usize) -> Duration {
    time / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

/// All settings but where the server is.
fn without_hosts(config: &Config) -> Config {
    let mut base = Config::new();
    config.get_user().map(|user| base.user(user));
    config.get_password().map(|password| base.password(password));
    config.get_dbname().map(|dbname| base.dbname(dbname));
    config.get_options().map(|options| base.options(options));
    config.get_application_name().map(|name| base.application_name(name));
    config.get_connect_timeout().map(|time| base.connect_timeout(*time));
    config.get_tcp_user_timeout().map(|time| base.tcp_user_timeout(*time));
    config.get_keepalives_interval().map(|time| base.keepalives_interval(time));
    config.get_keepalives_retries().map(|retries| base.keepalives_retries(retries));
    base.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    base
}

/// How long data, or a probe of an idle link, may be unanswered by the other machine.
const UNANSWERED: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// Bounds the time until a link is given up that a router or the other machine has forgotten. What the configuration
/// says counts; that it says the default of two hours cannot be told from that it says nothing.
fn with_time_limits(mut config: Config) -> Config {
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED);
    }
    if config.get_keepalives() {
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(UNANSWERED);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(PROBE_INTERVAL);
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(3);
        }
    }
    config
}

/// Runs futures until one succeeds: the next one begins when one has failed, or when the last one has had its turn.
async fn staggered<T, E, F>(turn: Duration, futures: Vec<F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, Vec<E>>> + Unpin,
{
    let mut futures = futures.into_iter().enumerate().peekable();
    let (mut running, mut failed) = (Vec::new(), Vec::new());
    loop {
        running.extend(futures.next());
        if running.is_empty() {
            failed.sort_by_key(|(n, _)| *n);
            return Err(failed.into_iter().flat_map(|(_, errors): (usize, Vec<E>)| errors).collect());
        }
        let is_last = futures.peek().is_none();
        let mut end = pin!(sleep(turn));
        let mut failures = failed.len();
        let success = poll_fn(|cx| {
            let mut success = None;
            running.retain_mut(|(n, future)| match Pin::new(future).poll(cx) {
                _ if success.is_some() => true,
                Poll::Pending => true,
                Poll::Ready(Ok(output)) => {
                    success = Some(output);
                    false
                }
                Poll::Ready(Err(errors)) => {
                    failed.push((*n, errors));
                    false
                }
            });
            if success.is_some() || failed.len() > failures {
                failures = failed.len();
                return Poll::Ready(success);
            }
            if is_last { Poll::Pending } else { end.as_mut().poll(cx).map(|()| None) }
        })
        .await;
        if let Some(output) = success {
            return Ok(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use evenkeel_testkit::{World, assert_took};

    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    /// What one host does: nothing, or this after so many seconds.
    type Does = Option<(u64, Result<&'static str, &'static str>)>;

    async fn try_all<const N: usize>(hosts: [Does; N]) -> Result<&'static str, Vec<&'static str>> {
        let one = |does: Does| async move {
            let Some((time, result)) = does else { return pending().await };
            sleep(SECS(time)).await;
            result.map_err(|error| vec![error])
        };
        staggered(SECS(5), hosts.map(|does| Box::pin(one(does))).into_iter().collect()).await
    }

    #[test]
    fn each_host_has_its_turn_and_then_company() {
        World::run(async |_| {
            // The first one is asked alone as long as it may answer in its turn.
            assert_eq!(assert_took!(try_all([Some((4, Ok("a"))), Some((0, Ok("b")))]), SECS(4)), Ok("a"));
            // A failure is the begin of the next one, silence is at the end of the turn.
            let refused = Some((1, Err("refused")));
            assert_eq!(assert_took!(try_all([refused, Some((1, Ok("b")))]), SECS(2)), Ok("b"));
            assert_eq!(assert_took!(try_all([None, Some((1, Ok("b")))]), SECS(6)), Ok("b"));
            assert_eq!(assert_took!(try_all([None, None, Some((0, Ok("c")))]), SECS(10)), Ok("c"));
            // One that is slow is not given up.
            assert_eq!(assert_took!(try_all([Some((12, Ok("a"))), None]), SECS(12)), Ok("a"));
            assert_eq!(assert_took!(try_all([Some((7, Err("a"))), Some((1, Ok("b")))]), SECS(6)), Ok("b"));
            // All failures are told, in the order of the hosts.
            let slow = Some((8, Err("slow")));
            assert_eq!(
                assert_took!(try_all([slow, refused, refused]), SECS(8)),
                Err(vec!["slow", "refused", "refused"])
            );
            assert_eq!(assert_took!(try_all([]), SECS(0)), Err(vec![]));
        });
    }

    /// No setting is lost on the way to one host, and all of them are in the address here.
    #[test]
    fn the_configuration_of_one_host_has_all_settings() {
        let url = "user=u password=p dbname=d options=-cx=1 application_name=a sslmode=require sslnegotiation=direct \
            connect_timeout=3 tcp_user_timeout=4 keepalives=0 keepalives_idle=5 keepalives_interval=6 \
            keepalives_retries=7 target_session_attrs=read-write channel_binding=require load_balance_hosts=random";
        let config: Config = url.parse().unwrap();
        let untouched = Config::new();
        let (all, none) = (format!("{config:?}"), format!("{untouched:?}"));
        let fields = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let same = fields(&all).into_iter().filter(|field| fields(&none).contains(field)).collect::<Vec<_>>();
        assert_eq!(same, ["host: []", "hostaddr: []", "port: []"], "every other setting is set here");
        assert_eq!(without_hosts(&config), config);
    }

    #[test]
    fn a_link_that_is_forgotten_is_given_up_unless_the_configuration_says_else() {
        let limited = with_time_limits(Config::new());
        assert_eq!(limited.get_tcp_user_timeout(), Some(&SECS(30)));
        assert_eq!((limited.get_keepalives(), limited.get_keepalives_idle()), (true, SECS(30)));
        assert_eq!(
            (limited.get_keepalives_interval(), limited.get_keepalives_retries()),
            (Some(SECS(10)), Some(3))
        );

        let url = "tcp_user_timeout=600 keepalives_idle=5 keepalives_interval=6 keepalives_retries=7";
        let own: Config = url.parse().unwrap();
        assert_eq!(with_time_limits(own.clone()), own);
        let none: Config = "keepalives=0 tcp_user_timeout=600".parse().unwrap();
        assert_eq!(with_time_limits(none.clone()), none);
    }
}
