//! A client of HTTP/1.1 over any connection: one call, and all of its reply that came.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Connection;

/// The part of a reply that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The connection ended before the body did.
    pub(crate) is_cut: bool,
}

/// Calls a server. A connection that ends before there is a whole head is an error.
pub(crate) async fn call(
    mut connection: Box<dyn Connection>,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await?;
    let (mut got, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let end = match connection.read(&mut buffer).await {
            Ok(0) => Some(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                got.extend_from_slice(&buffer[..read]);
                None
            }
            Err(error) => Some(error),
        };
        match (answer(&got), end) {
            (Some(answer), None) if answer.is_cut => {}
            (Some(answer), _) => return Ok(answer),
            (None, Some(error)) => return Err(error),
            (None, None) => {}
        }
    }
}

/// Reads an answer, as far as it came; `None` before the end of its head.
fn answer(bytes: &[u8]) -> Option<Answer> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let rest = &bytes[head_end + 4..];
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if header("transfer-encoding") == Some("chunked") {
        let (body, is_cut) = chunks(rest);
        return Some(Answer { status, body, is_cut });
    }
    // Without a length the body ends with the connection.
    let length: Option<usize> = header("content-length").and_then(|length| length.parse().ok());
    Some(Answer { status, body: rest.to_vec(), is_cut: length.is_none_or(|length| rest.len() < length) })
}

/// The bytes of a chunked body, and whether its last chunk is missing.
fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, true) };
        let size = str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return (body, true) };
        if size == 0 {
            return (body, false);
        }
        let chunk = &rest[line + 2..];
        let there = size.min(chunk.len());
        body.extend_from_slice(&chunk[..there]);
        if chunk.len() < size + 2 {
            return (body, true);
        }
        rest = &chunk[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, answer};

    #[test]
    fn an_answer_is_read_as_far_as_it_came() {
        let read = |text: &str| answer(text.as_bytes());
        let wanted = |body: &str, is_cut| Some(Answer { status: 200, body: body.into(), is_cut });
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";
        assert_eq!(read(head), None);
        assert_eq!(read(&format!("{head}\r\nab")), wanted("ab", true));
        assert_eq!(read(&format!("{head}\r\nabcde")), wanted("abcde", false));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(read(&format!("{head}4\r\nabcd\r\n0\r\n\r\n")), wanted("abcd", false));
        assert_eq!(read(&format!("{head}4\r\nabcd\r\n")), wanted("abcd", true));
        assert_eq!(read(&format!("{head}4\r\nab")), wanted("ab", true));
    }
}
