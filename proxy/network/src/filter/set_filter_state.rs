//! `envoy.filters.network.set_filter_state`: strings made of formats, for later filters, for the streams of the connection and
//! for the log.

use crate::tcp_proxy::CLUSTER_STATE;
use envoy_api::pb::envoy::extensions::filters::{
    common::set_filter_state::v3::FilterStateValue as ValueProto,
    network::set_filter_state::v3::Config as Proto,
};
use outrigger_core::{
    ConfigError, StreamInfo, error::ConfigResult, filter_state_value::FilterStateValue,
    formatter::FormatContext, network_filter::Verdict, stream_info::FilterState,
};

/// The compiled filter.
#[derive(Debug)]
pub struct SetFilterState {
    on_new_connection: Values,
    /// Of a connection without TLS: when it is new.
    on_handshake: Values,
    on_data: Values,
}

type Values = Box<[FilterStateValue]>;

impl SetFilterState {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            on_new_connection: values(&proto.on_new_connection, "on_new_connection")?,
            on_handshake: values(
                &proto.on_downstream_tls_handshake,
                "on_downstream_tls_handshake",
            )?,
            on_data: values(&proto.on_downstream_data, "on_downstream_data")?,
        })
    }

    pub fn on_new_connection(&self, info: &mut StreamInfo) -> Verdict {
        set(&self.on_new_connection, info);
        set(&self.on_handshake, info);
        Verdict::Continue
    }

    pub fn wants_data(&self) -> bool {
        !self.on_data.is_empty()
    }

    pub fn on_data(&self, info: &mut StreamInfo) -> Verdict {
        set(&self.on_data, info);
        Verdict::Continue
    }
}

fn values(protos: &[ValueProto], field: &str) -> Result<Values, ConfigError> {
    let values = protos.iter().enumerate();
    values
        .map(|(i, value)| FilterStateValue::compile(value, &[CLUSTER_STATE]).at_index(field, i))
        .collect()
}

fn set(values: &[FilterStateValue], info: &mut StreamInfo) {
    for value in values {
        if let Some(text) = value.render(&FormatContext::new(info)) {
            let key = value.key.to_string();
            info.filter_state.insert(key, FilterState::String(text));
        }
    }
}
