//! Operators that print a downstream or upstream address: whole, without its port, as a prefix, or its port alone.

use super::{FormatContext, operator::put_number};
use crate::Address;
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Which of a stream's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    DownstreamLocal,
    DownstreamRemote,
    DownstreamDirectLocal,
    DownstreamDirectRemote,
    UpstreamLocal,
    UpstreamRemote,
}

/// What is printed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    WithoutPort,
    /// The network of that many bits, as `10.0.0.0/8`.
    Prefix(u8),
    Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressOperator {
    endpoint: Endpoint,
    form: Form,
}

impl AddressOperator {
    /// The operator of a command name such as `UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT`, with its argument.
    pub fn named(command: &str, argument: &str) -> Option<Self> {
        let (endpoint, rest) = [
            ("DOWNSTREAM_LOCAL_", Endpoint::DownstreamLocal),
            ("DOWNSTREAM_REMOTE_", Endpoint::DownstreamRemote),
            ("DOWNSTREAM_DIRECT_LOCAL_", Endpoint::DownstreamDirectLocal),
            (
                "DOWNSTREAM_DIRECT_REMOTE_",
                Endpoint::DownstreamDirectRemote,
            ),
            ("UPSTREAM_LOCAL_", Endpoint::UpstreamLocal),
            ("UPSTREAM_REMOTE_", Endpoint::UpstreamRemote),
        ]
        .into_iter()
        .find_map(|(prefix, endpoint)| Some((endpoint, command.strip_prefix(prefix)?)))?;
        let form = match rest {
            "ADDRESS" => Form::Whole,
            "PORT" => Form::Port,
            // Envoy ignores an argument that is no number.
            "ADDRESS_WITHOUT_PORT" => argument
                .parse()
                .map_or(Form::WithoutPort, |bits: u8| Form::Prefix(bits)),
            _ => return None,
        };
        Some(Self { endpoint, form })
    }

    /// True if its value is a number in JSON.
    pub fn is_number(&self) -> bool {
        self.form == Form::Port
    }

    /// True if the command may have an argument.
    pub fn takes_argument(&self) -> bool {
        matches!(self.form, Form::WithoutPort | Form::Prefix(_))
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let address = self.address(cx)?;
        match (self.form, address.ip()) {
            (Form::Whole, _) | (Form::WithoutPort, None) => put_address(out, address),
            (Form::WithoutPort, Some(socket)) => put_ip(out, socket.ip()),
            (Form::Prefix(bits), Some(socket)) => {
                let (network, bits) = prefix(socket.ip(), bits)?;
                put_ip(out, network);
                out.push(b'/');
                put_number(out, bits.into());
            }
            (Form::Port, Some(socket)) => put_number(out, socket.port().into()),
            (Form::Prefix(_) | Form::Port, None) => return None,
        }
        Some(())
    }

    fn address<'a>(&self, cx: &FormatContext<'a>) -> Option<&'a Address> {
        let info = cx.info;
        Some(match self.endpoint {
            Endpoint::DownstreamLocal => &info.connection.local_address,
            Endpoint::DownstreamRemote => info.remote_address(),
            Endpoint::DownstreamDirectLocal => &info.connection.direct_local_address,
            Endpoint::DownstreamDirectRemote => &info.connection.direct_remote_address,
            Endpoint::UpstreamLocal => info.upstream.local_address.as_ref()?,
            Endpoint::UpstreamRemote => info.upstream.remote_address.as_ref()?,
        })
    }
}

/// The network of an address; more bits than it has give none.
fn prefix(address: IpAddr, bits: u8) -> Option<(IpAddr, u8)> {
    Some(match address {
        IpAddr::V4(v4) => {
            let host = 32u32.checked_sub(bits.into())?;
            let mask = u32::MAX.checked_shl(host).unwrap_or(0);
            (Ipv4Addr::from_bits(v4.to_bits() & mask).into(), bits)
        }
        IpAddr::V6(v6) => {
            let host = 128u32.checked_sub(bits.into())?;
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            (Ipv6Addr::from_bits(v6.to_bits() & mask).into(), bits)
        }
    })
}

/// `1.2.3.4:80`, `[::1]:80` or a path.
pub(super) fn put_address(out: &mut Vec<u8>, address: &Address) {
    match address {
        Address::Ip(socket) => {
            match socket.ip() {
                IpAddr::V6(_) => {
                    out.push(b'[');
                    put_ip(out, socket.ip());
                    out.push(b']');
                }
                v4 => put_ip(out, v4),
            }
            out.push(b':');
            put_number(out, socket.port().into());
        }
        Address::Pipe(_) => write_display(out, address),
    }
}

/// The address alone, an IPv6 one without brackets.
pub(super) fn put_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            // In one piece: log lines are full of addresses.
            let mut text = [b'.'; 16];
            let mut length = 0;
            for octet in v4.octets() {
                let mut digit = |value: u8| {
                    if let Some(place) = text.get_mut(length) {
                        *place = b'0' + value;
                        length += 1;
                    }
                };
                if octet >= 100 {
                    digit(octet / 100);
                }
                if octet >= 10 {
                    digit(octet / 10 % 10);
                }
                digit(octet % 10);
                // The dot stands there.
                length += 1;
            }
            out.extend_from_slice(text.get(..length - 1).unwrap_or_default());
        }
        IpAddr::V6(v6) => write_display(out, v6),
    }
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}
