use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ramson::Stream;
use tokio::task::JoinSet;
use tower_http::services::ServeDir;
use tower_service::Service;

use crate::args::{LimitArgs, SessionArgs};
use crate::failure::Usage;
use crate::run::Shell;
use crate::{Event, Output};

/// How long a request's head may take, and a connection may wait for the next request.
const HEAD_WITHIN: Duration = Duration::from_secs(90);
/// The most entries of a listing.
const MAX_LISTED: usize = 10_000;

/// `ramson serve`
#[derive(Debug, Args)]
#[command(after_help = "\
Serves index.html for a folder, ranges, and conditional requests. Never serves names that begin
with a dot, nor links that lead out of the folder.

Example:
  ramson serve ./site --key-file site.keys")]
pub(crate) struct Serve {
    /// The folder
    folder: PathBuf,
    /// List folders that have no index.html
    #[arg(long)]
    list: bool,
    /// Tell each request
    #[arg(long)]
    log: bool,
    /// The own port; only connections to it are taken, or to any where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    session: SessionArgs,
}

impl Serve {
    pub(crate) async fn run(self, shell: &Shell) -> Result<()> {
        let output = &shell.output;
        let root = self
            .folder
            .canonicalize()
            .with_context(|| format!("cannot find the folder {}", self.folder.display()))?;
        if !root.is_dir() {
            return Err(Usage(format!("{} is no folder", self.folder.display())).into());
        }
        if self.session.key_file.is_none() {
            output.note(&Event::Note {
                text: "no --key-file: the address is new and ends with this run".to_owned(),
            });
        }
        let site = Arc::new(Site {
            root,
            list: self.list,
        });
        let session = self.session.open(shell).await?;
        let listener = session
            .listen_with(self.limits.options().port(self.port))
            .await?;
        output.result(&Event::Serving {
            url: format!("http://{}/", session.address()),
            folder: self.folder.display().to_string(),
        })?;
        let log = self.log.then(|| output.clone());
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                stream = listener.accept() => {
                    streams.spawn(serve_stream(stream?, Arc::clone(&site), log.clone()));
                }
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

async fn serve_stream(stream: Stream, site: Arc<Site>, log: Option<Output>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, log) = (Arc::clone(&site), log.clone());
        async move {
            let method = request.method().to_string();
            let path = request.uri().path().to_owned();
            let response = site.answer(request).await;
            if let Some(log) = log {
                let status = response.status().as_u16();
                let _ = log.result(&Event::Request {
                    method,
                    path,
                    status,
                });
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let since = Instant::now();
    let result = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        // The time of this machine's clock is nobody's business.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = result {
        let took = since.elapsed();
        tracing::debug!(%error, ?took, "a connection ended early");
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A folder as a site.
struct Site {
    root: PathBuf,
    list: bool,
}

/// What a path of a request stands for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File,
    Listing(PathBuf),
    Nothing,
}

impl Site {
    async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        let path = request.uri().path().to_owned();
        let (root, list) = (self.root.clone(), self.list);
        let found = tokio::task::spawn_blocking(move || find(&root, &path, list)).await;
        let mut response = match found.unwrap_or(Found::Nothing) {
            Found::Nothing => text(StatusCode::NOT_FOUND, "Not found\n"),
            Found::Listing(folder) => {
                let html = tokio::task::spawn_blocking(move || listing(&folder)).await;
                let html = html.unwrap_or_default();
                let mut response = text(StatusCode::OK, html);
                let kind = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Found::File => {
                let mut folder = ServeDir::new(&self.root);
                match folder.call(request).await {
                    Ok(response) => {
                        response.map(|body| body.map_err(io::Error::other).boxed_unsync())
                    }
                    Err(never) => match never {},
                }
            }
        };
        let headers = response.headers_mut();
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        let no_referrer = HeaderValue::from_static("no-referrer");
        headers.insert(header::REFERRER_POLICY, no_referrer);
        response
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Looks at the path before `ServeDir` does, which follows links and serves hidden names.
fn find(root: &Path, path: &str, list: bool) -> Found {
    let Ok(path) = percent_encoding::percent_decode_str(path).decode_utf8() else {
        return Found::Nothing;
    };
    let Some(path) = path.strip_prefix('/') else {
        return Found::Nothing;
    };
    let is_folder = path.is_empty() || path.ends_with('/');
    let mut wanted = root.to_owned();
    for part in path.strip_suffix('/').unwrap_or(path).split('/') {
        if part.is_empty() && path.is_empty() {
            break;
        }
        if part.is_empty() || part.starts_with('.') || part.contains(['\\', '\0', ':']) {
            return Found::Nothing;
        }
        wanted.push(part);
    }
    match inside(root, &wanted) {
        // ServeDir sends the browser to the path with a slash behind it.
        Some(real) if real.is_dir() && !is_folder => Found::File,
        Some(real) if real.is_dir() => {
            let index = wanted.join("index.html");
            match inside(root, &index) {
                Some(index) if index.is_file() => Found::File,
                None if list && std::fs::symlink_metadata(&index).is_err() => Found::Listing(real),
                _ => Found::Nothing,
            }
        }
        Some(real) if real.is_file() && !is_folder => Found::File,
        _ => Found::Nothing,
    }
}

/// Where the path really leads, unless that is outside or hidden.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let below = real.strip_prefix(root).ok()?;
    let hidden = below
        .iter()
        .any(|part| part.as_encoded_bytes().starts_with(b"."));
    (!hidden).then_some(real)
}

fn listing(folder: &Path) -> String {
    let mut names: Vec<(String, bool)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path().is_dir())))
        .filter(|(name, _)| !name.starts_with('.'))
        .take(MAX_LISTED)
        .collect();
    names.sort();
    let mut html = "<!doctype html><meta charset=utf-8><title>Files</title><ul>\n".to_owned();
    for (name, is_folder) in names {
        let slash = if is_folder { "/" } else { "" };
        let link = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        let shown = name
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        html.push_str(&format!(
            "<li><a href=\"./{link}{slash}\">{shown}{slash}</a>\n"
        ));
    }
    html + "</ul>\n"
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    async fn ask(site: &Site, path: &str, headers: &[(&str, &str)]) -> (u16, String, Response<()>) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (parts, body) = site.answer(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        (parts.status.as_u16(), body, Response::from_parts(parts, ()))
    }

    #[tokio::test]
    async fn a_folder_is_a_site_and_nothing_outside_it() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap().join("site");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::write(temp.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("index.html"), "<p>hello").unwrap();
        std::fs::write(root.join("sub/a b.txt"), "0123456789").unwrap();
        std::fs::write(root.join(".git/config"), "hidden").unwrap();
        #[cfg(unix)]
        for (to, link) in [
            ("../secret", "out"),
            (".git/config", "in"),
            ("sub/a b.txt", "good"),
        ] {
            std::os::unix::fs::symlink(to, root.join(link)).unwrap();
        }
        let site = Site {
            root: root.clone(),
            list: false,
        };

        let (status, body, response) = ask(&site, "/", &[]).await;
        assert_eq!((status, body.as_str()), (200, "<p>hello"));
        assert_eq!(response.headers()["content-type"], "text/html");
        assert!(!response.headers().contains_key("server"));

        let (status, body, response) =
            ask(&site, "/sub/a%20b.txt", &[("range", "bytes=2-4")]).await;
        assert_eq!((status, body.as_str()), (206, "234"));
        assert_eq!(response.headers()["content-range"], "bytes 2-4/10");
        let since = response.headers()["last-modified"]
            .to_str()
            .unwrap()
            .to_owned();
        let (status, ..) = ask(&site, "/sub/a%20b.txt", &[("if-modified-since", &since)]).await;
        assert_eq!(status, 304);
        assert_eq!(
            ask(&site, "/sub/a%20b.txt", &[("range", "bytes=20-")])
                .await
                .0,
            416
        );

        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/sub/../../secret",
            "/sub/%2e%2e/%2e%2e/secret",
            "/.git/config",
            "/%2egit/config",
            "/out",
            "/in",
            "//etc/passwd",
            "/sub//a%20b.txt",
            "/sub/",
            "/nothing",
            "/..%5csecret",
            "/a%00b",
            "/sub/a%20b.txt/",
            "/%ff",
        ] {
            let (status, body, _) = ask(&site, path, &[]).await;
            assert_eq!((status, body.as_str()), (404, "Not found\n"), "{path}");
        }
        #[cfg(unix)]
        assert_eq!(ask(&site, "/good", &[]).await.1, "0123456789");

        let (status, _, response) = ask(&site, "/sub", &[]).await;
        assert_eq!(
            (status, &response.headers()["location"]),
            (307, &"/sub/".parse().unwrap())
        );

        let site = Site { root, list: true };
        let (status, body, _) = ask(&site, "/sub/", &[]).await;
        assert_eq!(status, 200);
        assert!(body.contains("href=\"./a%20b%2Etxt\">a b.txt<"), "{body}");
        assert_eq!(ask(&site, "/", &[]).await.1, "<p>hello");
    }
}
