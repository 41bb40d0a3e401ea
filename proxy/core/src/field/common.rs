//! The messages of `envoy.config.core.v3` and `envoy.type.v3` that occur all over the configuration.

use super::{
    Fate::{Ignored, Rejected},
    Message, USED,
};

const NO_NAMESPACES: &str = "sockets are made in the network namespace of the process";
const FEATURES: &str = "only says what is known of the other side";

/// Addresses, values with runtime overrides, metadata and the like.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.core.v3.Address",
        fields: &[
            ("socket_address", USED),
            ("pipe", USED),
            (
                "envoy_internal_address",
                Rejected("internal listeners are not supported"),
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SocketAddress",
        fields: &[
            ("protocol", USED),
            ("address", USED),
            ("port_value", USED),
            ("named_port", Rejected("use port_value")),
            ("resolver_name", USED),
            ("ipv4_compat", USED),
            ("network_namespace_filepath", Rejected(NO_NAMESPACES)),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Pipe",
        fields: &[("path", USED), ("mode", USED)],
    },
    Message {
        name: "envoy.config.core.v3.SocketOption",
        fields: &[
            ("description", USED),
            ("level", USED),
            ("name", USED),
            ("int_value", USED),
            ("buf_value", USED),
            ("state", USED),
            ("type", USED),
            ("ip_version", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SocketOption.SocketType",
        fields: &[("stream", USED), ("datagram", USED)],
    },
    Message {
        name: "envoy.config.core.v3.SocketOption.SocketType.Stream",
        fields: &[],
    },
    Message {
        name: "envoy.config.core.v3.SocketOption.SocketType.Datagram",
        fields: &[],
    },
    Message {
        name: "envoy.config.core.v3.BackoffStrategy",
        fields: &[("base_interval", USED), ("max_interval", USED)],
    },
    Message {
        name: "envoy.config.core.v3.TcpKeepalive",
        fields: &[
            ("keepalive_probes", USED),
            ("keepalive_time", USED),
            ("keepalive_interval", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.TransportSocket",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        fields: &[
            ("config", USED),
            ("transport_socket", USED),
            (
                "allow_unspecified_address",
                Rejected("Envoy itself makes nothing of it"),
            ),
            ("tlv_as_pool_key", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.ProxyProtocolConfig",
        fields: &[
            ("version", USED),
            ("pass_through_tlvs", USED),
            ("added_tlvs", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.TlvEntry",
        fields: &[
            ("type", USED),
            ("value", USED),
            ("format_string", Rejected("give a value")),
        ],
    },
    Message {
        name: "envoy.config.core.v3.TypedExtensionConfig",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.config.core.v3.Metadata",
        fields: &[
            ("filter_metadata", USED),
            (
                "typed_filter_metadata",
                Ignored(
                    "only extensions that this version does not have read it, and where it is the TLVs of a host it is refused",
                ),
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Locality",
        fields: &[("region", USED), ("zone", USED), ("sub_zone", USED)],
    },
    Message {
        name: "envoy.config.core.v3.Node",
        fields: &[
            ("id", USED),
            ("cluster", USED),
            ("metadata", USED),
            ("dynamic_parameters", Ignored("only xDS sends it")),
            ("locality", USED),
            ("user_agent_name", Ignored("only xDS sends it")),
            ("user_agent_version", Ignored("only xDS sends it")),
            ("user_agent_build_version", Ignored("only xDS sends it")),
            ("extensions", Ignored("only xDS sends it")),
            ("client_features", Ignored(FEATURES)),
            ("listening_addresses", Ignored(FEATURES)),
        ],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeFractionalPercent",
        fields: &[("default_value", USED), ("runtime_key", USED)],
    },
    Message {
        name: "envoy.config.core.v3.RuntimePercent",
        fields: &[("default_value", USED), ("runtime_key", USED)],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeUInt32",
        fields: &[("default_value", USED), ("runtime_key", USED)],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeDouble",
        fields: &[("default_value", USED), ("runtime_key", USED)],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeFeatureFlag",
        fields: &[("default_value", USED), ("runtime_key", USED)],
    },
    Message {
        name: "envoy.type.v3.Percent",
        fields: &[("value", USED)],
    },
    Message {
        name: "envoy.type.v3.FractionalPercent",
        fields: &[("numerator", USED), ("denominator", USED)],
    },
    Message {
        name: "envoy.type.v3.Int32Range",
        fields: &[("start", USED), ("end", USED)],
    },
    Message {
        name: "envoy.type.v3.Int64Range",
        fields: &[("start", USED), ("end", USED)],
    },
    Message {
        name: "envoy.type.v3.DoubleRange",
        fields: &[("start", USED), ("end", USED)],
    },
    Message {
        name: "envoy.config.core.v3.CidrRange",
        fields: &[("address_prefix", USED), ("prefix_len", USED)],
    },
];
