//! The names that the proxy itself reads or writes, as one byte each, so that finding one compares no strings.

use super::HeaderSet;

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
            #[inline]
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// Envoy holds this header "inline": repeated lines are joined with a comma.
            #[inline]
            pub const fn is_inline(self) -> bool {
                Self::INLINE.has(self)
            }

            /// `:method`, `:path`, … : never written as a header line on HTTP/1.
            #[inline]
            pub const fn is_pseudo(self) -> bool {
                match self { $($(Self::$variant => header_ids!(@pseudo $kind),)?)* _ => false }
            }

            const ALL: &[HeaderId] = &[$(Self::$variant),*];
            const NAMES: [&str; Self::ALL.len() + 1] = ["", $($name),*];

            const INLINE: HeaderSet = {
                let mut names = HeaderSet::EMPTY;
                $($(if header_ids!(@inline $kind) { names.add(Self::$variant); })?)*
                names
            };

            /// Every well-known name.
            pub fn all() -> impl Iterator<Item = HeaderId> {
                Self::ALL.iter().copied()
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
    Accept = "accept": inline,
    AcceptEncoding = "accept-encoding": inline,
    AccessControlAllowCredentials = "access-control-allow-credentials": inline,
    AccessControlAllowHeaders = "access-control-allow-headers": inline,
    AccessControlAllowMethods = "access-control-allow-methods": inline,
    AccessControlAllowOrigin = "access-control-allow-origin": inline,
    AccessControlAllowPrivateNetwork = "access-control-allow-private-network": inline,
    AccessControlExposeHeaders = "access-control-expose-headers": inline,
    AccessControlMaxAge = "access-control-max-age": inline,
    AccessControlRequestMethod = "access-control-request-method": inline,
    AccessControlRequestPrivateNetwork = "access-control-request-private-network": inline,
    Age = "age": inline,
    AltSvc = "alt-svc",
    Authorization = "authorization": inline,
    CacheControl = "cache-control": inline,
    Connection = "connection": inline,
    ContentEncoding = "content-encoding": inline,
    ContentLength = "content-length": inline,
    ContentType = "content-type": inline,
    Cookie = "cookie",
    Date = "date": inline,
    Etag = "etag": inline,
    Expect = "expect": inline,
    GrpcAcceptEncoding = "grpc-accept-encoding": inline,
    GrpcEncoding = "grpc-encoding",
    GrpcMessage = "grpc-message": inline,
    GrpcStatus = "grpc-status": inline,
    GrpcTimeout = "grpc-timeout": inline,
    Http2Settings = "http2-settings",
    KeepAlive = "keep-alive": inline,
    Location = "location": inline,
    Origin = "origin": inline,
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection": inline,
    ProxyStatus = "proxy-status": inline,
    Referer = "referer": inline,
    RetryAfter = "retry-after",
    Server = "server": inline,
    SetCookie = "set-cookie",
    Te = "te": inline,
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding": inline,
    Upgrade = "upgrade": inline,
    UserAgent = "user-agent": inline,
    Vary = "vary": inline,
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
    EnvoyLocalOverloaded = "x-envoy-local-overloaded",
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

/// A [`HeaderSet`] has 128 bits, one for each name, `Custom` included.
const _: () = assert!(HeaderId::ALL.len() < 128);

/// Names by a hash without collisions. A new name takes care of itself: the seed is searched for at build time.
static BY_HASH: [HeaderId; SLOTS] = table(SEED);
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 11;
const SEED: u64 = seed();

/// Length and four bytes tell all names apart, so nothing else of a name is read to find its slot.
#[inline]
const fn slot(name: &[u8], seed: u64) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let features = [
        name[0],
        name[length / 2],
        name[length / 4 * 3],
        name[length - 1],
        length as u8,
        0,
        0,
        0,
    ];
    (u64::from_le_bytes(features).wrapping_mul(seed) >> (64 - SLOT_BITS)) as usize
}

const fn seed() -> u64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut tries = 0;
    while tries < 500 {
        let mut taken = [false; SLOTS];
        let mut at = 0;
        while at < HeaderId::ALL.len() {
            let slot = slot(HeaderId::ALL[at].name().as_bytes(), seed);
            if taken[slot] {
                break;
            }
            taken[slot] = true;
            at += 1;
        }
        if at == HeaderId::ALL.len() {
            return seed;
        }
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
        tries += 1;
    }
    panic!("two names have the same features: add one to slot()")
}

const fn table(seed: u64) -> [HeaderId; SLOTS] {
    let mut table = [HeaderId::Custom; SLOTS];
    let mut at = 0;
    while at < HeaderId::ALL.len() {
        let id = HeaderId::ALL[at];
        table[slot(id.name().as_bytes(), seed)] = id;
        at += 1;
    }
    table
}

impl HeaderId {
    /// Finds a lower-case name. `host` is `:authority`, as in Envoy's header map.
    #[inline]
    pub fn lookup(name: &[u8]) -> Self {
        let id = BY_HASH
            .get(slot(name, SEED))
            .copied()
            .unwrap_or(Self::Custom);
        if id != Self::Custom && id.name().as_bytes() == name {
            id
        } else if name == b"host" {
            Self::Authority
        } else {
            Self::Custom
        }
    }
}
