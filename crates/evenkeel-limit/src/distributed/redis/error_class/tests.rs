//! The classes of replies, word for word from Redis 7.0 and 8.2, Valkey 9.1, and the sources of older versions.

use std::io;

use redis::{ErrorKind, RedisError, parse_redis_value};

use super::ErrorClass::{self, Configuration, ConnectionLost, Passing, Redirected, Refused, WrongServer};

fn said(text: &str) -> ErrorClass {
    let value = parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
    ErrorClass::of(&value.extract_error().unwrap_err())
}

#[test]
fn replies_of_servers() {
    let replies = [
        ("READONLY You can't write against a read only replica.", WrongServer),
        (
            "READONLY You can't write against a read only replica. script: 6e9f, on @user_script:37.",
            WrongServer,
        ),
        (
            "ERR Error running script (call to f_6e9f): @user_script:37: @user_script: 37: -READONLY You can't write \
             against a read only replica.",
            WrongServer,
        ),
        (
            "ERR Error running script (call to f_6e9f): @user_script:37: @user_script: 37: -READONLY You can't write \
             against a read only slave.",
            WrongServer,
        ),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", WrongServer),
        (
            "ERR Error running script (call to f_6e9f): @user_script:3: @user_script: 3: -MASTERDOWN Link with MASTER \
             is down and slave-serve-stale-data is set to 'no'.",
            WrongServer,
        ),
        ("NOAUTH Authentication required.", Refused),
        ("WRONGPASS invalid username-password pair or user is disabled.", Refused),
        ("DENIED Redis is running in protected mode because protected mode is enabled", Refused),
        ("MOVED 6099 10.0.0.7:6379", Redirected),
        ("ERR invalid password", Refused),
        ("ERR Client sent AUTH, but no password is set", Refused),
        ("ERR AUTH <password> called without any password configured for the default user.", Refused),
        ("NOPERM this user has no permissions to run the 'evalsha' command", Configuration),
        ("NOPERM No permissions to access a key", Configuration),
        ("NOPERM User u has no permissions to run the 'script|load' command", Configuration),
        (
            "ERR ACL failure in script: User u has no permissions to run the 'get' command script: on @user_script:9.",
            Configuration,
        ),
        (
            "ERR The user executing the script can't run this command or subcommand script: 6e9f, on @user_script:3.",
            Configuration,
        ),
        (
            "ERR Error running script (call to f_6e9f): @user_script:9: @user_script: 9: The user executing the script \
             can't access at least one of the keys mentioned in the command arguments",
            Configuration,
        ),
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 6e9f, on @user_script:9.",
            Configuration,
        ),
        (
            "ERR Error running script (call to f_6e9f): @user_script:9: @user_script: 9: WRONGTYPE Operation against a \
             key holding the wrong kind of value",
            Configuration,
        ),
        ("WRONGTYPE the key holds something else than a bucket", Configuration),
        ("ERR unknown command 'EVALSHA', with args beginning with: '6e9f' '1' 'READONLY' ", Configuration),
        ("ERR DB index is out of range", Configuration),
        ("ERR SELECT is not allowed in cluster mode", Configuration),
        ("NOPROTO unsupported protocol version", Configuration),
        ("LOADING Redis is loading the dataset in memory", Passing),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", Passing),
        ("CLUSTERDOWN Hash slot not served", Passing),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Passing),
        ("ASK 6099 10.0.0.7:6379", Passing),
        (
            "OOM command not allowed when used memory > 'maxmemory'. script: 6e9f, on @user_script:37.",
            Passing,
        ),
        (
            "ERR Error running script (call to f_6e9f): @user_script:37: @user_script: 37: -OOM command not allowed \
             when used memory > 'maxmemory'.",
            Passing,
        ),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            Passing,
        ),
        ("NOREPLICAS Not enough good replicas to write.", Passing),
        ("NOSCRIPT No matching script. Please use EVAL.", Passing),
        ("ERR max number of clients reached", ConnectionLost),
        ("ERR upstream failure", Passing),
    ];
    for (text, class) in replies {
        assert_eq!(said(text), class, "{text}");
    }
}

#[test]
fn errors_of_the_client() {
    let io = |kind: io::ErrorKind| ErrorClass::of(&RedisError::from(io::Error::from(kind)));
    for kind in [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::NotFound,
        io::ErrorKind::HostUnreachable,
    ] {
        assert_eq!(io(kind), ConnectionLost, "{kind:?}");
    }
    assert_eq!(io(io::ErrorKind::TimedOut), Passing);
    assert_eq!(io(io::ErrorKind::PermissionDenied), Refused);
    // The errors of rustls for a certificate, and for a server without TLS.
    assert_eq!(io(io::ErrorKind::InvalidData), Refused);
    let client = |kind| ErrorClass::of(&RedisError::from((kind, "text")));
    assert_eq!(client(ErrorKind::AuthenticationFailed), Refused);
    assert_eq!(client(ErrorKind::Parse), Refused);
    assert_eq!(client(ErrorKind::Client), Refused);
    assert_eq!(client(ErrorKind::InvalidClientConfig), Configuration);
    assert_eq!(client(ErrorKind::RESP3NotSupported), Configuration);
}
