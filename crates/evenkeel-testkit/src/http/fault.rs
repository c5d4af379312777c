//! Replies that hyper would not send.

use std::{fmt::Write, io};

use tokio::{io::AsyncWriteExt, time::sleep};

use super::reply::{Fault, Reply, Sent};
use crate::net::MemStream;

/// Sends the part of a faulty reply that it sends, and ends the connection.
pub(super) async fn break_off(reply: &Reply, fault: &Fault, mut stream: MemStream) -> io::Result<()> {
    match fault.sent {
        Sent::Raw(bytes) => stream.write_all(bytes).await?,
        Sent::Part(len) => {
            stream.write_all(&head(reply)).await?;
            let body = &reply.body[..len.min(reply.body.len())];
            let (size, every) =
                reply.slow.map_or((body.len().max(1), None), |slow| (slow.bytes, Some(slow.every)));
            for (number, piece) in body.chunks(size).enumerate() {
                if let (Some(every), true) = (every, number > 0) {
                    sleep(every).await;
                }
                stream.write_all(piece).await?;
            }
        }
    }
    if fault.reset {
        stream.reset();
    }
    Ok(())
}

/// Writes the head as hyper would.
fn head(reply: &Reply) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", reply.status);
    if !reply.headers.contains_key("content-length") {
        let _ = write!(head, "content-length: {}\r\n", reply.body.len());
    }
    let mut head = head.into_bytes();
    for (name, value) in &reply.headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}
