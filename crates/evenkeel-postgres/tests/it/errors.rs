//! The texts of errors.

use std::error::Error as _;

use evenkeel_postgres::{BuildError, Database, Error, GetError, tokio_postgres::Config};

fn source(error: &Error) -> Option<String> {
    error.source().map(ToString::to_string)
}

#[tokio::test]
async fn the_cause_is_the_source_and_not_in_the_text() {
    let config = Database::connect("postgres://localhost/app?sslmode=perhaps").await.unwrap_err();
    assert_eq!(
        config.to_string(),
        "the address of the database, a `postgres://` URL or `key=value` pairs, cannot be read"
    );
    assert_eq!(source(&config).as_deref(), Some("invalid connection string"));

    let build = Error::Build(BuildError::ZeroMax);
    assert_eq!(build.to_string(), "the database cannot be set up so");
    assert_eq!(source(&build), Some(BuildError::ZeroMax.to_string()));

    let decode = Error::Decode("as told".into());
    assert_eq!(decode.to_string(), "a row is not what it was to be read as");
    assert_eq!(source(&decode).as_deref(), Some("as told"));

    // The error of a statement comes from the server alone, or from the client: here, from an address.
    let failed = "sslmode=perhaps".parse::<Config>().unwrap_err();
    let batch = Error::Batch { index: 2, sql: "select $1".into(), error: failed };
    assert_eq!(batch.to_string(), "statement 2 of the batch failed: select $1");
    assert_eq!(source(&batch).as_deref(), Some("invalid connection string"));
    assert!(batch.db().is_none() && !batch.is_connection_lost());

    for (error, text) in [
        (Error::RowCount(3), "expected one row, got 3"),
        (Error::Abandoned, "a statement of the transaction was dropped before it had ended"),
        (Error::TxStillBorrowed, "the transaction was kept beyond its end"),
        (Error::CommitUnknown(None), "the time was over during the commit"),
        (Error::Get(GetError::Closed), "the database is closed"),
    ] {
        assert_eq!((error.to_string().as_str(), source(&error)), (text, None));
        assert!(error.code().is_none() && error.db().is_none());
        assert!(!error.is_timeout() && !error.is_connection_lost() && !error.is_conflict());
        assert_eq!(error.is_closed(), matches!(error, Error::Get(_)));
        assert_eq!(error.is_commit_unknown(), matches!(error, Error::CommitUnknown(_)));
    }
}
