//! The HTTP/1 server of the admin interface: connections, routing by path, the headers that every answer has.

use super::{
    config::AdminConfig,
    connection::{self, AdminStats, Metered, OpenConnection},
    endpoints::ENDPOINTS,
    home,
    log::{self, Record},
    page,
    params::Params,
    reply::{Body, Reply},
    state::AdminState,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use outrigger_core::{Address, ConnectionInfo, log_debug, panics::contained, stats::Store};
use outrigger_listener::{ConnectionLimit, ConnectionPermit};
use outrigger_transport::listen::{self, ListenOptions};
use std::{convert::Infallible, io, net, os::unix, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// Longest form that a POST may bring.
const MAX_FORM: usize = 64 << 10;
/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A bound admin interface.
pub struct Admin {
    config: AdminConfig,
    socket: Socket,
    stats: AdminStats,
}

impl Admin {
    /// Binds and listens; requests wait until [`serve`](Self::serve) runs. Needs a tokio runtime around it.
    pub fn bind(config: AdminConfig, store: &Store) -> io::Result<Self> {
        let options = ListenOptions {
            socket_options: config.socket_options.clone(),
            ..ListenOptions::default()
        };
        let bound = listen::bind(&config.address, &options, 1, false)?
            .pop()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = bound.listen(128)?;
        let socket = match &config.address {
            Address::Ip(_) => Socket::Tcp(TcpListener::from_std(net::TcpListener::from(socket))?),
            Address::Pipe(_) => Socket::Unix(UnixListener::from_std(
                unix::net::UnixListener::from(socket),
            )?),
        };
        Ok(Self {
            config,
            socket,
            stats: AdminStats::register(store),
        })
    }

    /// The address with the port that was bound: what `--admin-address-path` gets.
    pub fn local_address(&self) -> io::Result<Address> {
        match &self.socket {
            Socket::Tcp(listener) => Ok(Address::Ip(listener.local_addr()?)),
            Socket::Unix(_) => Ok(self.config.address.clone()),
        }
    }

    pub fn stats(&self) -> &AdminStats {
        &self.stats
    }

    /// Answers requests until it is dropped; connections that are open then live on until their clients leave. `limit` is
    /// that of the process, if connections to here count.
    pub async fn serve(self, state: Arc<AdminState>, limit: Option<Arc<ConnectionLimit>>) {
        let server = Arc::new(Server {
            config: self.config,
            state,
            stats: self.stats,
            limit,
        });
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                    let local = stream.local_addr().unwrap_or(peer);
                    let addresses = (Address::Ip(local), Address::Ip(peer));
                    server.clone().spawn(stream, addresses);
                }),
                Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                    let local = server.config.address.clone();
                    let addresses = (local, Address::Pipe(Arc::new(PathBuf::new())));
                    server.clone().spawn(stream, addresses);
                }),
            };
            if accepted.is_err() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The process has as many connections as it may.
struct NoRoom;

/// What all connections share.
struct Server {
    config: AdminConfig,
    state: Arc<AdminState>,
    stats: AdminStats,
    limit: Option<Arc<ConnectionLimit>>,
}

impl Server {
    /// Whether there is room for a connection, and what holds it.
    fn room(&self) -> Result<Option<ConnectionPermit>, NoRoom> {
        match &self.limit {
            None => Ok(None),
            Some(limit) if self.config.ignore_global_conn_limit => Ok(limit.exempt()),
            Some(limit) => limit.acquire().map(Some).ok_or(NoRoom),
        }
    }

    fn spawn<S>(self: Arc<Self>, stream: S, (local, remote): (Address, Address))
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = self.room() else {
            return self.stats.overflow();
        };
        tokio::spawn(contained(async move {
            let _permit = permit;
            let open = self.stats.connection();
            let io = TokioIo::new(Metered::new(stream, self.stats.http.clone()));
            let id = self.state.clusters.next_connection_id();
            let info = log::connection(id, local, remote);
            log_debug!("conn_handler", &*info => "new connection from {}", info.remote_address);
            let service = service_fn(|request| self.answer(request, &info, &open));
            // An error is the client's; it has been told what there was to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        }));
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Arc<ConnectionInfo>,
        open: &OpenConnection,
    ) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let wrong = unroutable(&head);
        let details = wrong.map_or("admin_filter_response", |(_, details)| details);
        let logs = &self.config.access_logs;
        let record = (!logs.is_empty()).then(|| {
            let address = self.state.local_address;
            Box::new(Record::new(
                logs.clone(),
                connection.clone(),
                &head,
                address,
                details,
            ))
        });
        let mut active = self.stats.request(record);
        if head.version == Version::HTTP_10 {
            open.close();
            let mut response = Response::new(Body::from("Upgrade Required".to_owned()));
            *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("16"));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            headers.insert(header::SERVER, HeaderValue::from_static("envoy"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Ok(active.answered(response));
        }
        if let Some((status, _)) = wrong {
            return Ok(active.answered(empty(status, &head, open)));
        }
        let body = body_of(body).await;
        active.received(body.len());
        let form = form(&head, &body);
        let target = merge_slashes(
            head.uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
        );
        log_debug!("admin", &**connection => "request complete: path: {target}");
        let reply = match self.refusal(&head, connection) {
            Some(reason) => Reply::text(reason).with_status(StatusCode::FORBIDDEN),
            None => self.route(&head, &target, form),
        };
        let mut response = Response::new(reply.body);
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, reply.content_type),
            (header::CACHE_CONTROL, "no-cache, max-age=0"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in reply.headers {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers.insert(header::DATE, connection::date());
        headers.insert(header::SERVER, HeaderValue::from_static("envoy"));
        // hyper would write it last; Envoy writes it before the coding.
        if wants_close(&head.headers) {
            open.close();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
        let response = active.answered(response);
        Ok(if head.method == Method::HEAD {
            response.map(Body::withheld)
        } else {
            response
        })
    }

    /// Why the request is not answered. Nobody's browser reaches a Unix domain socket for a page.
    fn refusal(&self, head: &http::request::Parts, connection: &ConnectionInfo) -> Option<String> {
        connection.remote_address.ip()?;
        self.state.guard.refusal(&head.method, &head.headers)
    }

    /// Finds the endpoint; `form` stands in for a missing query.
    fn route(&self, head: &http::request::Parts, target: &str, form: Option<String>) -> Reply {
        let method = &head.method;
        if !self.config.allows(target) {
            return Reply::text(format!("request to path {target} not allowed"))
                .with_status(StatusCode::FORBIDDEN);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(page) = page::answer(&self.state, path, &head.headers) {
            return page;
        }
        let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == path) else {
            return Reply::text(format!("invalid path. {}", home::help_text()))
                .with_status(StatusCode::NOT_FOUND);
        };
        if endpoint.mutates && method != Method::POST {
            return Reply::text(format!("Method {method} not allowed, POST required."))
                .with_status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let params = match form {
            Some(form) if query.is_empty() => Params::parse(&form),
            _ => Params::parse(query),
        };
        (endpoint.handle)(&self.state, &params)
    }
}

/// What Envoy's connection manager does not let through to the admin interface, no host and a target that is no path: the
/// status and the details that it is logged with.
fn unroutable(head: &http::request::Parts) -> Option<(StatusCode, &'static str)> {
    if !head.headers.contains_key(header::HOST) {
        return Some((StatusCode::BAD_REQUEST, "missing_host_header"));
    }
    let is_path = head.uri.scheme().is_none() && head.uri.path().starts_with('/');
    (!is_path).then_some((StatusCode::NOT_FOUND, "absolute_path_rejected"))
}

/// An answer of a status alone.
fn empty(status: StatusCode, head: &http::request::Parts, open: &OpenConnection) -> Response<Body> {
    let mut response = Response::new(Body::from(String::new()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::DATE, connection::date());
    headers.insert(header::SERVER, HeaderValue::from_static("envoy"));
    if wants_close(&head.headers) {
        open.close();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// The client asks for the end of the connection after this answer.
fn wants_close(headers: &HeaderMap) -> bool {
    let tokens = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens
        .into_iter()
        .any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// A body up to the size that is of use.
async fn body_of(body: Incoming) -> Bytes {
    let body = Limited::new(body, MAX_FORM).collect().await;
    body.map(|body| body.to_bytes()).unwrap_or_default()
}

/// The form that a POST brings. Any other body is forgotten.
fn form(head: &http::request::Parts, body: &[u8]) -> Option<String> {
    let is_form = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/x-www-form-urlencoded");
    (head.method == Method::POST && is_form).then(|| String::from_utf8_lossy(body).into_owned())
}

/// Envoy's admin connection manager merges slashes in the path.
pub fn merge_slashes(target: &str) -> String {
    let (path, query) = match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    let mut merged = String::with_capacity(target.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged.push_str(query);
    merged
}
