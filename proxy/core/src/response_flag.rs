//! Envoy's response flags: why a stream ended as it did, in the order in which the reasons arose.

macro_rules! response_flags {
    ($($variant:ident = $short:literal),* $(,)?) => {
        /// One reason, named as Envoy's `CoreResponseFlag`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ResponseFlag { $(#[doc = $short] $variant),* }

        impl ResponseFlag {
            /// `%RESPONSE_FLAGS%`.
            pub const fn short(self) -> &'static str {
                match self { $(Self::$variant => $short),* }
            }

            /// `%RESPONSE_FLAGS_LONG%`.
            pub const fn long(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// The flag of a short name, as access-log filters write it.
            pub fn from_short(short: &str) -> Option<Self> {
                match short { $($short => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

response_flags! {
    FailedLocalHealthCheck = "LH",
    NoHealthyUpstream = "UH",
    UpstreamRequestTimeout = "UT",
    LocalReset = "LR",
    UpstreamRemoteReset = "UR",
    UpstreamConnectionFailure = "UF",
    UpstreamConnectionTermination = "UC",
    UpstreamOverflow = "UO",
    NoRouteFound = "NR",
    DelayInjected = "DI",
    FaultInjected = "FI",
    RateLimited = "RL",
    UnauthorizedExternalService = "UAEX",
    RateLimitServiceError = "RLSE",
    DownstreamConnectionTermination = "DC",
    UpstreamRetryLimitExceeded = "URX",
    StreamIdleTimeout = "SI",
    InvalidEnvoyRequestHeaders = "IH",
    DownstreamProtocolError = "DPE",
    UpstreamMaxStreamDurationReached = "UMSDR",
    ResponseFromCacheFilter = "RFCF",
    NoFilterConfigFound = "NFCF",
    DurationTimeout = "DT",
    UpstreamProtocolError = "UPE",
    NoClusterFound = "NC",
    OverloadManagerTerminated = "OM",
    DnsResolutionFailed = "DF",
    DropOverLoad = "DO",
    DownstreamRemoteReset = "DR",
    UnconditionalDropOverload = "UDO",
}

/// The flags of one stream, in the order in which they were set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseFlags {
    list: [Option<ResponseFlag>; 6],
}

impl ResponseFlags {
    /// Sets a flag once. A stream ends for very few reasons: beyond six, later ones are not kept.
    pub fn set(&mut self, flag: ResponseFlag) {
        for slot in &mut self.list {
            match slot {
                Some(old) if *old == flag => return,
                Some(_) => {}
                None => {
                    *slot = Some(flag);
                    return;
                }
            }
        }
    }

    pub fn has(&self, flag: ResponseFlag) -> bool {
        self.iter().any(|f| f == flag)
    }

    pub fn is_empty(&self) -> bool {
        self.list.first().is_none_or(Option::is_none)
    }

    pub fn iter(&self) -> impl Iterator<Item = ResponseFlag> {
        self.list.iter().copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_keep_their_order_and_are_set_once() {
        let mut flags = ResponseFlags::default();
        assert!(flags.is_empty());
        flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
        flags.set(ResponseFlag::UpstreamConnectionFailure);
        flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
        assert_eq!(
            flags.iter().map(ResponseFlag::short).collect::<Vec<_>>(),
            ["URX", "UF"]
        );
        assert_eq!(
            ResponseFlag::from_short("UF"),
            Some(ResponseFlag::UpstreamConnectionFailure)
        );
    }
}
