//! The names that the proxy itself reads or writes, as one byte each, so that finding one compares no strings.

use std::sync::LazyLock;

macro_rules! header_ids {
    ($($variant:ident = $name:literal $(: $kind:ident)?),* $(,)?) => {
        /// A well-known header name, or `Custom` for every other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HeaderId {
            /// Any name outside this list.
            Custom,
            $(#[doc = $name] $variant,)*
        }

        impl HeaderId {
            /// The lower-case name; empty for `Custom`.
            pub const fn name(self) -> &'static str {
                match self { Self::Custom => "", $(Self::$variant => $name,)* }
            }

            /// Envoy holds this header "inline": repeated lines are joined with a comma.
            pub const fn is_inline(self) -> bool {
                match self { $($(Self::$variant => header_ids!(@inline $kind),)?)* _ => false }
            }

            /// `:method`, `:path`, … : never written as a header line on HTTP/1.
            pub const fn is_pseudo(self) -> bool {
                match self { $($(Self::$variant => header_ids!(@pseudo $kind),)?)* _ => false }
            }

            /// Every well-known name.
            pub fn all() -> impl Iterator<Item = HeaderId> {
                [$(Self::$variant),*].into_iter()
            }
        }
    };
    (@inline inline) => { true };
    (@inline pseudo) => { true };
    (@pseudo inline) => { false };
    (@pseudo pseudo) => { true };
}

header_ids! {
    Method = ":method": pseudo,
    Path = ":path": pseudo,
    Authority = ":authority": pseudo,
    Scheme = ":scheme": pseudo,
    Protocol = ":protocol": pseudo,
    Status = ":status": pseudo,
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    Age = "age",
    AltSvc = "alt-svc",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Connection = "connection": inline,
    ContentEncoding = "content-encoding",
    ContentLength = "content-length": inline,
    ContentType = "content-type": inline,
    Cookie = "cookie",
    Date = "date": inline,
    Etag = "etag",
    Expect = "expect": inline,
    GrpcAcceptEncoding = "grpc-accept-encoding",
    GrpcEncoding = "grpc-encoding",
    GrpcMessage = "grpc-message": inline,
    GrpcStatus = "grpc-status": inline,
    GrpcTimeout = "grpc-timeout": inline,
    Http2Settings = "http2-settings",
    KeepAlive = "keep-alive": inline,
    Location = "location": inline,
    Origin = "origin",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection": inline,
    ProxyStatus = "proxy-status": inline,
    Referer = "referer",
    RetryAfter = "retry-after",
    Server = "server": inline,
    SetCookie = "set-cookie",
    Te = "te": inline,
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding": inline,
    Upgrade = "upgrade": inline,
    UserAgent = "user-agent": inline,
    Vary = "vary",
    Via = "via": inline,
    WwwAuthenticate = "www-authenticate",
    ClientTraceId = "x-client-trace-id": inline,
    EnvoyAttemptCount = "x-envoy-attempt-count": inline,
    EnvoyDecoratorOperation = "x-envoy-decorator-operation": inline,
    EnvoyDegraded = "x-envoy-degraded": inline,
    EnvoyDownstreamServiceCluster = "x-envoy-downstream-service-cluster": inline,
    EnvoyDownstreamServiceNode = "x-envoy-downstream-service-node": inline,
    EnvoyExpectedRqTimeoutMs = "x-envoy-expected-rq-timeout-ms": inline,
    EnvoyExternalAddress = "x-envoy-external-address": inline,
    EnvoyForceTrace = "x-envoy-force-trace": inline,
    EnvoyHedgeOnPerTryTimeout = "x-envoy-hedge-on-per-try-timeout": inline,
    EnvoyImmediateHealthCheckFail = "x-envoy-immediate-health-check-fail": inline,
    EnvoyInternal = "x-envoy-internal": inline,
    EnvoyIpTags = "x-envoy-ip-tags": inline,
    EnvoyIsTimeoutRetry = "x-envoy-is-timeout-retry": inline,
    EnvoyMaxRetries = "x-envoy-max-retries": inline,
    EnvoyOriginalHost = "x-envoy-original-host": inline,
    EnvoyOriginalPath = "x-envoy-original-path": inline,
    EnvoyOriginalUrl = "x-envoy-original-url": inline,
    EnvoyOverloaded = "x-envoy-overloaded": inline,
    EnvoyRateLimited = "x-envoy-ratelimited": inline,
    EnvoyRetriableHeaderNames = "x-envoy-retriable-header-names": inline,
    EnvoyRetriableStatusCodes = "x-envoy-retriable-status-codes": inline,
    EnvoyRetryGrpcOn = "x-envoy-retry-grpc-on": inline,
    EnvoyRetryOn = "x-envoy-retry-on": inline,
    EnvoyUpstreamAltStatName = "x-envoy-upstream-alt-stat-name": inline,
    EnvoyUpstreamCanary = "x-envoy-upstream-canary": inline,
    EnvoyUpstreamHealthCheckedCluster = "x-envoy-upstream-healthchecked-cluster": inline,
    EnvoyUpstreamRqPerTryTimeoutMs = "x-envoy-upstream-rq-per-try-timeout-ms": inline,
    EnvoyUpstreamRqTimeoutAltResponse = "x-envoy-upstream-rq-timeout-alt-response": inline,
    EnvoyUpstreamRqTimeoutMs = "x-envoy-upstream-rq-timeout-ms": inline,
    EnvoyUpstreamServiceTime = "x-envoy-upstream-service-time": inline,
    EnvoyUpstreamStreamDurationMs = "x-envoy-upstream-stream-duration-ms": inline,
    ForwardedClientCert = "x-forwarded-client-cert": inline,
    ForwardedFor = "x-forwarded-for": inline,
    ForwardedHost = "x-forwarded-host": inline,
    ForwardedPort = "x-forwarded-port": inline,
    ForwardedProto = "x-forwarded-proto": inline,
    RequestId = "x-request-id": inline,
}

/// Names by length: a lookup compares against the few names that are as long.
static BY_LENGTH: LazyLock<Vec<Vec<HeaderId>>> = LazyLock::new(|| {
    let longest = HeaderId::all().map(|id| id.name().len()).max().unwrap_or(0);
    let mut table = vec![Vec::new(); longest + 1];
    for id in HeaderId::all() {
        if let Some(same_length) = table.get_mut(id.name().len()) {
            same_length.push(id);
        }
    }
    table
});

impl HeaderId {
    /// Finds a lower-case name. `host` is `:authority`, as in Envoy's header map.
    pub fn lookup(name: &[u8]) -> Self {
        if name == b"host" {
            return Self::Authority;
        }
        let Some(candidates) = BY_LENGTH.get(name.len()) else {
            return Self::Custom;
        };
        candidates
            .iter()
            .copied()
            .find(|id| id.name().as_bytes() == name)
            .unwrap_or(Self::Custom)
    }
}
