//! Sockets and streams: the only crate of the data path that touches the operating system's socket API.

pub mod accept;
pub mod address;
pub mod connect;
pub mod happy_eyeballs;
pub mod inspect;
pub mod listen;
pub mod proxy_protocol;
pub mod socket;
pub mod socket_option;
pub mod stream;
pub mod transport_socket;

pub use connect::{ConnectError, ConnectOptions, Source};
pub use happy_eyeballs::HappyEyeballs;
pub use socket::Keepalive;
pub use socket_option::SocketOption;
pub use stream::{ReadWatch, Stream};
