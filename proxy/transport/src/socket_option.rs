//! `core.v3.SocketOption`: options by level and name, set through safe calls. One that has no safe call is refused when
//! the configuration is compiled, never dropped when a socket is made.

use envoy_api::pb::envoy::config::core::v3::{
    SocketOption as Proto,
    socket_option::{SocketIpVersion, SocketState, Value},
};
use outrigger_core::{ConfigError, error::ConfigResult};
use socket2::{Domain, Socket};
use std::{io, time::Duration};

/// When an option is set, as `SocketOption.SocketState` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Prebind,
    Bound,
    Listening,
}

/// One compiled option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOption {
    state: State,
    /// `ip_version`: the only sockets that it is for.
    domain: Option<Domain>,
    kind: Kind,
    value: u32,
}

/// Linux's numbers: level and name. The ones that a safe call exists for.
macro_rules! kinds {
    ($($kind:ident = ($level:literal, $name:literal)),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Kind { $($kind),* }

        impl Kind {
            fn find(level: i64, name: i64) -> Option<Self> {
                match (level, name) {
                    $(($level, $name) => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    ReuseAddress = (1, 2),
    SendBuffer = (1, 7),
    ReceiveBuffer = (1, 8),
    Keepalive = (1, 9),
    Priority = (1, 12),
    ReusePort = (1, 15),
    Mark = (1, 36),
    BusyPoll = (1, 46),
    Tos = (0, 1),
    Ttl = (0, 2),
    Freebind = (0, 15),
    Transparent = (0, 19),
    NoDelay = (6, 1),
    MaxSegment = (6, 2),
    KeepaliveTime = (6, 4),
    KeepaliveInterval = (6, 5),
    KeepaliveProbes = (6, 6),
    QuickAck = (6, 12),
    UserTimeout = (6, 18),
    NotSentLowWater = (6, 25),
    UnicastHops = (41, 16),
    V6Only = (41, 26),
    TrafficClass = (41, 67),
    TransparentV6 = (41, 75),
    FreebindV6 = (41, 78),
}

impl SocketOption {
    /// `None`: it is not for stream sockets, and there are no others.
    pub fn compile(proto: &Proto) -> Result<Option<Self>, ConfigError> {
        let Proto {
            description: _,
            level,
            name,
            state,
            r#type,
            ip_version,
            value,
        } = proto;
        // Of both, the stream wins.
        if r#type.is_some_and(|of| of.stream.is_none() && of.datagram.is_some()) {
            return Ok(None);
        }
        let domain = match SocketIpVersion::try_from(*ip_version) {
            Ok(SocketIpVersion::Unspecified) => None,
            Ok(SocketIpVersion::Ipv4) => Some(Domain::IPV4),
            Ok(SocketIpVersion::Ipv6) => Some(Domain::IPV6),
            Err(_) => return Err(ConfigError::new("unknown IP version").at("ip_version")),
        };
        let kind = Kind::find(*level, *name).ok_or_else(|| {
            ConfigError::new(format!(
                "socket option level {level} name {name} is not supported"
            ))
            .at("name")
        })?;
        let value = match value {
            Some(Value::IntValue(value)) => u32::try_from(*value).map_err(|_| {
                ConfigError::new(format!("value {value} out of range")).at("int_value")
            })?,
            Some(Value::BufValue(_)) => {
                return Err(ConfigError::new("only int_value is supported").at("buf_value"));
            }
            None => return Err(ConfigError::new("is required").at("value")),
        };
        let state = match SocketState::try_from(*state) {
            Ok(SocketState::StatePrebind) => State::Prebind,
            Ok(SocketState::StateBound) => State::Bound,
            Ok(SocketState::StateListening) => State::Listening,
            Err(_) => return Err(ConfigError::new("unknown state").at("state")),
        };
        Ok(Some(Self {
            state,
            domain,
            kind,
            value,
        }))
    }

    pub fn compile_all(protos: &[Proto]) -> Result<Vec<Self>, ConfigError> {
        protos
            .iter()
            .enumerate()
            .filter_map(|(i, proto)| {
                Self::compile(proto)
                    .at_index("socket_options", i)
                    .transpose()
            })
            .collect()
    }

    fn apply(&self, socket: &Socket) -> io::Result<()> {
        if let Some(domain) = self.domain
            && socket.domain()? != domain
        {
            return Ok(());
        }
        let (value, on) = (self.value, self.value != 0);
        let seconds = Duration::from_secs(value.into());
        match self.kind {
            Kind::ReuseAddress => socket.set_reuse_address(on),
            Kind::SendBuffer => socket.set_send_buffer_size(value as usize),
            Kind::ReceiveBuffer => socket.set_recv_buffer_size(value as usize),
            Kind::Keepalive => socket.set_keepalive(on),
            Kind::Priority => socket.set_priority(value),
            Kind::ReusePort => socket.set_reuse_port(on),
            Kind::Mark => socket.set_mark(value),
            Kind::BusyPoll => socket.set_busy_poll(value),
            Kind::Tos => socket.set_tos_v4(value),
            Kind::Ttl => socket.set_ttl_v4(value),
            Kind::Freebind => socket.set_freebind_v4(on),
            Kind::Transparent => socket.set_ip_transparent_v4(on),
            Kind::NoDelay => socket.set_tcp_nodelay(on),
            Kind::MaxSegment => socket.set_tcp_mss(value),
            Kind::KeepaliveTime => {
                rustix::net::sockopt::set_tcp_keepidle(socket, seconds).map_err(io::Error::from)
            }
            Kind::KeepaliveInterval => {
                rustix::net::sockopt::set_tcp_keepintvl(socket, seconds).map_err(io::Error::from)
            }
            Kind::KeepaliveProbes => {
                rustix::net::sockopt::set_tcp_keepcnt(socket, value).map_err(io::Error::from)
            }
            Kind::QuickAck => socket.set_tcp_quickack(on),
            Kind::UserTimeout => {
                socket.set_tcp_user_timeout(Some(Duration::from_millis(value.into())))
            }
            Kind::NotSentLowWater => socket.set_tcp_notsent_lowat(value),
            Kind::UnicastHops => socket.set_unicast_hops_v6(value),
            Kind::V6Only => socket.set_only_v6(on),
            Kind::TrafficClass => socket.set_tclass_v6(value),
            Kind::TransparentV6 => socket.set_ip_transparent_v6(on),
            Kind::FreebindV6 => socket.set_freebind_v6(on),
        }
    }
}

/// Sets the options of one state. The first failure fails the socket, as Envoy does.
pub fn apply_all(options: &[SocketOption], state: State, socket: &Socket) -> io::Result<()> {
    options
        .iter()
        .filter(|option| option.state == state)
        .try_for_each(|option| option.apply(socket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use socket2::{Domain, Type};

    fn option(level: i64, name: i64, value: i64) -> Proto {
        Proto {
            level,
            name,
            value: Some(Value::IntValue(value)),
            ..Default::default()
        }
    }

    #[test]
    fn known_options_reach_the_socket_in_their_state() {
        let options = SocketOption::compile_all(&[option(1, 9, 1), option(6, 5, 7)]).unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        apply_all(&options, State::Bound, &socket).unwrap();
        assert!(!socket.keepalive().unwrap());
        apply_all(&options, State::Prebind, &socket).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(7)
        );
    }

    #[test]
    fn unknown_options_are_refused_with_their_path() {
        let error = SocketOption::compile_all(&[option(1, 9, 1), option(99, 1, 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "socket_options[1].name: socket option level 99 name 1 is not supported"
        );
    }
}
