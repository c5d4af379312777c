//! The HTTP server, in memory and on loopback.

use std::{error::Error, io};

use evenkeel_testkit::{
    http::{Client, Server},
    net::MemNet,
};
use http_body_util::BodyExt;

mod cancel;
mod fault;
mod loopback;
mod path;
mod record;
mod report;
mod script;

fn server() -> Server {
    Server::mem(&MemNet::new(), "api.test").expect("a free address")
}

type Answer = Result<(u16, String), Box<dyn Error + Send + Sync>>;

/// Status and body.
async fn get(client: &Client, url: &str) -> Answer {
    let response = client.get(url.parse()?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.into())?))
}

/// The error of the connection below.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.kind()),
        None => io_kind(error.source()?),
    }
}
