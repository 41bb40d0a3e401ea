//! The socket options that Envoy sets by itself: keepalive, and what was the destination before a redirect.

use envoy_api::pb::envoy::config::core::v3::TcpKeepalive;
use outrigger_core::{Address, ConfigError};
use socket2::{SockRef, Socket};
use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

/// `core.v3.TcpKeepalive`: a missing value leaves the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Probes without an answer before the connection counts as dead.
    probes: Option<u32>,
    /// Seconds of silence before the first probe.
    time: Option<u32>,
    /// Seconds between probes.
    interval: Option<u32>,
}

impl Keepalive {
    /// `None` when the message asks for none: Envoy sets nothing if every value is 0.
    pub fn compile(proto: Option<&TcpKeepalive>) -> Result<Option<Self>, ConfigError> {
        let Some(proto) = proto else { return Ok(None) };
        let TcpKeepalive {
            keepalive_probes,
            keepalive_time,
            keepalive_interval,
        } = *proto;
        if (keepalive_probes, keepalive_time, keepalive_interval) == (Some(0), Some(0), Some(0)) {
            return Ok(None);
        }
        // The kernel knows no 0 for any of them; Envoy would refuse each connection with the failing option.
        for (value, field) in [
            (keepalive_probes, "keepalive_probes"),
            (keepalive_time, "keepalive_time"),
            (keepalive_interval, "keepalive_interval"),
        ] {
            if value == Some(0) {
                return Err(ConfigError::new(
                    "value must be greater than 0 unless all three are 0",
                )
                .at(field));
            }
        }
        Ok(Some(Self {
            probes: keepalive_probes,
            time: keepalive_time,
            interval: keepalive_interval,
        }))
    }

    pub fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let mut params = socket2::TcpKeepalive::new();
        if let Some(probes) = self.probes {
            params = params.with_retries(probes);
        }
        if let Some(time) = self.time {
            params = params.with_time(Duration::from_secs(time.into()));
        }
        if let Some(interval) = self.interval {
            params = params.with_interval(Duration::from_secs(interval.into()));
        }
        SockRef::from(socket).set_tcp_keepalive(&params)
    }
}

/// Where the client meant to go before iptables redirected it; an error if nothing redirected it.
pub fn original_dst(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let socket = SockRef::from(socket);
    let local = socket.local_addr()?.as_socket();
    let original = match local {
        Some(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_none() => socket.original_dst_v6(),
        _ => socket.original_dst_v4(),
    }?;
    original
        .as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

/// `IP_FREEBIND`: bind to an address that this machine does not have yet.
pub fn set_freebind(socket: &Socket, address: &Address) -> io::Result<()> {
    match address.ip() {
        Some(SocketAddr::V4(_)) => socket.set_freebind_v4(true),
        Some(SocketAddr::V6(_)) => socket.set_freebind_v6(true),
        None => Ok(()),
    }
}

/// `IP_TRANSPARENT`: bind to, or accept for, addresses of others. Needs `CAP_NET_ADMIN`.
pub fn set_transparent(socket: &Socket, address: &Address) -> io::Result<()> {
    match address.ip() {
        Some(SocketAddr::V4(_)) => socket.set_ip_transparent_v4(true),
        Some(SocketAddr::V6(_)) => socket.set_ip_transparent_v6(true),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use socket2::{Domain, Type};

    #[test]
    fn keepalive_reaches_the_socket() {
        let keepalive = Keepalive::compile(Some(&TcpKeepalive {
            keepalive_probes: Some(3),
            keepalive_time: Some(300),
            keepalive_interval: None,
        }))
        .unwrap()
        .unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        keepalive.apply(&socket).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(300)
        );
    }

    #[test]
    fn all_zero_means_no_keepalive() {
        let zero = TcpKeepalive {
            keepalive_probes: Some(0),
            keepalive_time: Some(0),
            keepalive_interval: Some(0),
        };
        assert_eq!(Keepalive::compile(Some(&zero)), Ok(None));
        let error = Keepalive::compile(Some(&TcpKeepalive {
            keepalive_time: Some(0),
            ..Default::default()
        }))
        .unwrap_err();
        assert_eq!(error.path(), "keepalive_time");
    }
}
