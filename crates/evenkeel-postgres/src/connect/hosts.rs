//! Connects to the first host of a configuration that answers.
//!
//! # How it works
//!
//! A configuration names one or more hosts, and a name may have several addresses. Each host has an equal share of the time
//! for itself, and each address an equal share of its host's; then the next one is tried beside it
//! ([`staggered`]). Nothing is cut off before the end of the attempt, so that a slow server can still answer.
//!
//! At one address `sslmode` may make two attempts, with TLS and without it ([`Encryption`]).
//!
//! The host and address that answered last are tried first the next time. Their lock is held for a copy or a sort alone.

use std::{
    fmt, io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig};
use evenkeel_base::{Random, lock};
use evenkeel_pool::{Deadpool, Manager as _};
use tokio::{net::lookup_host, sync::mpsc};
use tokio_postgres::{
    Config, Notification,
    config::{Host, LoadBalanceHosts, SslMode},
};

use super::{
    Address, Connected,
    config::{with_time_limits, without_hosts},
    encryption::{Encryption, is_refused},
    error::{ConnectReason, HostError},
    link::{LinkState, ObservedConnect},
    pooling::PoolerSettings,
    progress::ConnectAttempt,
    staggered::staggered,
};
use crate::tls::error::TlsError;

/// The hosts of a configuration.
pub(crate) struct Hosts {
    config: Config,
    // All settings but the hosts.
    base: Config,
    encryption: Encryption,
    // The index of the host that answered last, and its address.
    last_good: Mutex<Option<(usize, Address)>>,
    // Where the notifications of the connections go.
    notifications: Option<mpsc::Sender<Notification>>,
    pub(crate) pooler: PoolerSettings,
}

/// One of the hosts of the configuration.
#[derive(Clone)]
struct ConfigHost {
    index: usize,
    host: Option<Host>,
    addr: Option<IpAddr>,
    port: u16,
}

type ConnectFuture<'a> = Pin<Box<dyn Future<Output = Result<Connected, Vec<HostError>>> + Send + 'a>>;

impl Hosts {
    pub(crate) fn new(config: Config, encryption: Encryption) -> Self {
        let base = with_time_limits(without_hosts(&config));
        Self {
            config,
            base,
            encryption,
            last_good: Mutex::new(None),
            notifications: None,
            pooler: PoolerSettings::default(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the same hosts, for connections that pass their notifications on.
    pub(crate) fn listening(&self, notifications: mpsc::Sender<Notification>) -> Self {
        let last_good = Mutex::new(lock(&self.last_good).clone());
        Self {
            config: self.config.clone(),
            base: self.base.clone(),
            encryption: self.encryption.clone(),
            last_good,
            notifications: Some(notifications),
            pooler: self.pooler.clone(),
        }
    }

    /// Connects to the first host that answers, within the time of the attempt.
    ///
    /// Each host has an equal share of `shared` for itself. Then the next one is tried beside it, or at once when the one
    /// before has failed.
    pub(crate) async fn connect(
        &self,
        shared: Duration,
        attempt: &ConnectAttempt,
    ) -> Result<Connected, Vec<HostError>> {
        self.encryption
            .check(&self.config)
            .map_err(|error| vec![HostError::new("the server".to_owned(), ConnectReason::Tls(error))])?;
        let Some(hosts) = self.in_order() else {
            // The error of the client says what is wrong with the configuration.
            let opened = self.open(self.config.clone(), None, &AtomicBool::default()).await;
            return opened.map_err(|reason| vec![HostError::new("the host".to_owned(), reason)]);
        };
        let share = share(shared, hosts.len());
        let mut attempts: Vec<ConnectFuture<'_>> = Vec::new();
        for host in hosts {
            attempts.push(Box::pin(self.connect_host(host, share, attempt)));
        }
        staggered(share, attempts).await
    }

    async fn connect_host(
        &self,
        host: ConfigHost,
        shared: Duration,
        attempt: &ConnectAttempt,
    ) -> Result<Connected, Vec<HostError>> {
        let addresses = self.addresses(&host, attempt).await?;
        let share = share(shared, addresses.len());
        let mut attempts: Vec<ConnectFuture<'_>> = Vec::new();
        for address in addresses {
            attempts.push(Box::pin(self.connect_address(&host, address, attempt)));
        }
        let connected = staggered(share, attempts).await?;
        *lock(&self.last_good) = connected.address.clone().map(|address| (host.index, address));
        Ok(connected)
    }

    /// Returns the hosts in the order in which they are tried, or `None` if the configuration is not sound.
    fn in_order(&self) -> Option<Vec<ConfigHost>> {
        let (hosts, addrs, ports) =
            (self.config.get_hosts(), self.config.get_hostaddrs(), self.config.get_ports());
        let count = hosts.len().max(addrs.len());
        let fits = |len: usize| len == 0 || len == count;
        if count == 0 || !fits(hosts.len()) || !fits(addrs.len()) || !(ports.len() < 2 || fits(ports.len())) {
            return None;
        }
        let port = |index| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let host = |index| ConfigHost {
            index,
            host: hosts.get(index).cloned(),
            addr: addrs.get(index).copied(),
            port: port(index),
        };
        let mut all: Vec<_> = (0..count).map(host).collect();
        if self.is_balanced() {
            let random = Random::new();
            all.sort_by_key(|host| random.number(host.index as u64));
        } else if let Some((last_good, _)) = &*lock(&self.last_good) {
            all.sort_by_key(|host| host.index != *last_good);
        }
        Some(all)
    }

    fn is_balanced(&self) -> bool {
        self.config.get_load_balance_hosts() == LoadBalanceHosts::Random
    }

    /// Returns the addresses of a host in the order in which they are tried; at least one.
    async fn addresses(
        &self,
        host: &ConfigHost,
        attempt: &ConnectAttempt,
    ) -> Result<Vec<Address>, Vec<HostError>> {
        let name = match (host.addr, &host.host) {
            (Some(addr), _) => return Ok(vec![Address::Tcp(addr, host.port)]),
            (None, Some(Host::Tcp(name))) => name,
            #[cfg(unix)]
            (None, Some(Host::Unix(dir))) => return Ok(vec![Address::Unix(dir.clone(), host.port)]),
            (None, None) => return Ok(Vec::new()),
        };
        let lookup = async {
            let mut addresses: Vec<_> = Vec::new();
            for found in lookup_host((name.as_str(), host.port)).await.map_err(ConnectReason::Lookup)? {
                let address = Address::Tcp(found.ip(), host.port);
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                return Err(ConnectReason::Lookup(error));
            }
            self.sort(&mut addresses);
            Ok(addresses)
        };
        let found = attempt.step(format!("{name}:{}", host.port), lookup).await;
        or_last_good(found, host.index, lock(&self.last_good).as_ref())
    }

    fn sort(&self, addresses: &mut [Address]) {
        if self.is_balanced() {
            let random = Random::new();
            let mut place = 0;
            addresses.sort_by_cached_key(|_| {
                place += 1;
                random.number(place)
            });
        } else if let Some((_, last_good)) = &*lock(&self.last_good) {
            addresses.sort_by_key(|address| address != last_good);
        }
    }

    async fn connect_address(
        &self,
        host: &ConfigHost,
        address: Address,
        attempt: &ConnectAttempt,
    ) -> Result<Connected, Vec<HostError>> {
        let mut config = self.base.clone();
        match &host.host {
            Some(Host::Tcp(name)) => {
                config.host(name);
            }
            #[cfg(unix)]
            Some(Host::Unix(dir)) => {
                config.host_path(dir);
            }
            None if self.encryption.needs_host() => {
                let error = "sslmode=verify-full needs a host, whose name the certificate has";
                return Err(vec![HostError::new(
                    address.to_string(),
                    ConnectReason::Tls(TlsError::new(error)),
                )]);
            }
            None => {}
        }
        if let Address::Tcp(addr, _) = address {
            config.hostaddr(addr);
            if host.host.is_none() {
                // The client makes no handshake without a name.
                config.host(addr.to_string());
            }
        }
        config.port(host.port);
        let label = match &host.host {
            Some(Host::Tcp(name)) if !matches!(&address, Address::Tcp(addr, _) if addr.to_string() == *name) =>
            {
                format!("{name} ({address})")
            }
            _ => address.to_string(),
        };
        let mut failures = Vec::new();
        for ssl_mode in self.encryption.attempts(&address) {
            config.ssl_mode(*ssl_mode);
            let label = match (failures.is_empty(), ssl_mode) {
                (true, _) => label.clone(),
                (false, SslMode::Disable) => format!("{label} without TLS"),
                (false, _) => format!("{label} with TLS"),
            };
            let refused = AtomicBool::new(false);
            let open = self.open(config.clone(), Some(address.clone()), &refused);
            match attempt.step(label, open).await {
                Ok(connected) => return Ok(connected),
                Err(errors) => failures.extend(errors),
            }
            if !refused.into_inner() {
                break;
            }
        }
        Err(failures)
    }

    /// Connects to one address with one encryption, and stores in `refused` whether the other one is worth an attempt.
    async fn open(
        &self,
        config: Config,
        address: Option<Address>,
        refused: &AtomicBool,
    ) -> Result<Connected, ConnectReason> {
        let application_name: Option<Box<str>> = config.get_application_name().map(Box::from);
        loop {
            let pooling = self.pooler.pooling();
            let link = LinkState::new(pooling.is_unnamed, self.notifications.clone());
            let connect =
                ObservedConnect { connect: Arc::clone(&self.encryption.connect_link), link: link.clone() };
            let manager = Manager::from_connect(config.clone(), connect, ManagerConfig::default());
            let client = Deadpool::new(manager).create().await.map_err(|error| {
                let reason = ConnectReason::Client(error);
                refused.store(is_refused(config.get_ssl_mode(), &link, &reason), Relaxed);
                reason
            })?;
            self.pooler.observe(&client).await.map_err(ConnectReason::Client)?;
            // A pooler is found once; then the next link has what it takes.
            let found = self.pooler.pooling();
            if found.is_unnamed == pooling.is_unnamed {
                return Ok(Connected { client, address, link, application_name, pooling: found });
            }
        }
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Config` leaves out the password.
        self.config.fmt(f)
    }
}

/// Falls back on the address of this host that answered last: a resolver that fails says nothing about the server.
fn or_last_good<E>(
    found: Result<Vec<Address>, E>,
    host: usize,
    last_good: Option<&(usize, Address)>,
) -> Result<Vec<Address>, E> {
    match (found, last_good) {
        (Err(_), Some((index, address))) if *index == host => Ok(vec![address.clone()]),
        (found, _) => found,
    }
}

fn share(time: Duration, count: usize) -> Duration {
    time / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_resolved_has_the_address_that_answered_last() {
        let [old, new] = [1, 2].map(|last| Address::Tcp(IpAddr::from([10, 0, 0, last]), 5432));
        let last_good = Some((1, old.clone()));
        for (found, host, last_good, expected) in [
            (Err("try again"), 1, last_good.as_ref(), Ok(vec![old.clone()])),
            (Err("try again"), 0, last_good.as_ref(), Err("try again")),
            (Err("no such name"), 1, None, Err("no such name")),
            (Ok(vec![new.clone()]), 1, last_good.as_ref(), Ok(vec![new])),
        ] {
            assert_eq!(or_last_good(found, host, last_good), expected);
        }
    }
}
