//! The settings of a connection apart from its host, with finite keepalives.

use std::time::Duration;

use tokio_postgres::Config;

/// Copies all settings but the hosts.
pub(crate) fn without_hosts(config: &Config) -> Config {
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

/// Bounds the time until a link is given up that a router or the other machine has forgotten.
///
/// The configuration takes precedence. A configured `keepalives_idle` of two hours cannot be told from the default, and
/// is replaced.
pub(crate) fn with_time_limits(mut config: Config) -> Config {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    /// No setting is lost: the address of this test has all of them.
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
