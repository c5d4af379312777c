//! Serves the files of a folder on this machine.

use std::{
    convert::Infallible,
    fs::Metadata,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Url;
use tokio::{
    fs,
    net::{TcpListener, lookup_host},
    task::JoinSet,
};

type Answer = Response<Full<Bytes>>;

/// A server of files, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct FileServer {
    _tasks: JoinSet<()>,
}

impl FileServer {
    /// Serves the folder at the address of this URL.
    pub(crate) async fn start(folder: &Path, url: &Url) -> io::Result<Self> {
        let folder: Arc<Path> = fs::canonicalize(folder).await?.into();
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> =
            lookup_host((name, url.port_or_known_default().unwrap_or(80))).await?.collect();
        if let Some(other) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            let told =
                format!("files are served to this machine alone, and {other} is not a loopback address");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let listener = TcpListener::bind(addresses.as_slice()).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, folder));
        Ok(Self { _tasks: tasks })
    }
}

async fn accept(listener: TcpListener, folder: Arc<Path>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // A connection that failed before it was accepted is no reason to end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let folder = folder.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let folder = folder.clone();
                async move { Ok::<_, Infallible>(answer(&folder, &request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // The other side has closed it.
            let _ = connection.await;
        });
    }
}

async fn answer(folder: &Path, request: &Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let Some(file) = file(folder, path) else { return bare(StatusCode::NOT_FOUND) };
    let Ok(mut metadata) = fs::metadata(&file).await else { return bare(StatusCode::NOT_FOUND) };
    let mut file = file;
    if metadata.is_dir() {
        if !path.ends_with('/') {
            let mut answer = bare(StatusCode::MOVED_PERMANENTLY);
            if let Ok(location) = HeaderValue::from_str(&format!("{path}/")) {
                answer.headers_mut().insert(header::LOCATION, location);
            }
            return answer;
        }
        file.push("index.html");
        match fs::metadata(&file).await {
            Ok(index) => metadata = index,
            Err(_) => return bare(StatusCode::NOT_FOUND),
        }
    }
    let modified = modified(&metadata);
    let known = request.headers().get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    if modified.is_some() && known == modified.as_deref() {
        return bare(StatusCode::NOT_MODIFIED);
    }
    let Ok(content) = fs::read(&file).await else { return bare(StatusCode::NOT_FOUND) };
    let mut answer = Response::new(Full::from(content));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&file)));
    if let Some(modified) = modified.and_then(|modified| HeaderValue::from_str(&modified).ok()) {
        answer.headers_mut().insert(header::LAST_MODIFIED, modified);
    }
    answer
}

fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn modified(metadata: &Metadata) -> Option<String> {
    metadata.modified().ok().map(|time: SystemTime| httpdate::fmt_http_date(time))
}

/// Returns the file of a path, which is below the folder.
fn file(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut file = folder.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = decoded(part)?;
        if part == "." || part == ".." || part.contains(['/', '\\', '\0']) {
            return None;
        }
        file.push(part);
    }
    Some(file)
}

fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let at = |path| file(Path::new("/d"), path).map(|file| file.display().to_string());
        assert_eq!(at("/a/b%20c.html").as_deref(), Some("/d/a/b c.html"));
        assert_eq!(at("//a//").as_deref(), Some("/d/a"));
        for path in ["/../x", "/%2e%2e/x", "/a%2f..%2fx", "/a%00", "/%zz", "/%f", "/%ff", "/a\\..\\x"] {
            assert_eq!(at(path), None, "{path}");
        }
    }
}
