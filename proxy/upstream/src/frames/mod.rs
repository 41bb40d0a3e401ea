//! The frames of an HTTP/2 connection as their headers show them: what passes a socket under a codec, and Envoy's limits
//! on it. Reads frame headers only; must neither allocate nor look into a message.

mod constraints;
mod scanner;
mod write;

pub use constraints::{Constraints, Flood};
pub use scanner::{Frame, Scanner};
pub use write::{write_go_away, write_message};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS: the peer's last on its stream.
pub const END_STREAM: u8 = 1;
/// Of SETTINGS and PING: an answer.
pub const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION: the head is complete.
pub const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// What a codec takes of one stream at most before its peer does, and the largest frame that it makes.
const SEND_BUFFER: usize = 128 << 10;
const FRAME_PAYLOAD: usize = 16 << 10;

/// How much of one stream a codec may hold whose side has this limit of its buffers, where 0 is none. Without it a peer that
/// reads nothing would make each stream hold what the codec holds by default, whatever the limit says.
pub fn send_buffer(limit: usize) -> usize {
    match limit {
        0 => SEND_BUFFER,
        limit => limit.clamp(FRAME_PAYLOAD, SEND_BUFFER),
    }
}
