//! More pipelined requests than a task of tokio serves in one go. Envoy refuses them as too many responses that wait.

#![allow(clippy::unwrap_used)]

use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const CONFIG: &str = "
listeners:
  main:
    http: {}
    routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: enough}}}]
";

/// A task that has to yield must not forget whom its socket wakes: the request that comes later is answered as well.
#[test]
fn a_connection_goes_on_behind_any_number_of_them() {
    let proxy = Running::start(Role::Subject, CONFIG, &[]).unwrap();
    let port = proxy.port("main").unwrap();
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    for count in 1..300 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let limit = Some(Duration::from_secs(20));
        client.set_read_timeout(limit).unwrap();
        client.write_all(request.repeat(count).as_bytes()).unwrap();
        let mut one = vec![0; 4096];
        let length = {
            client.read_exact(&mut one[..1]).unwrap();
            let mut length = 1;
            while !one[..length].ends_with(b"enough") {
                client.read_exact(&mut one[length..=length]).unwrap();
                length += 1;
            }
            length
        };
        let mut others = vec![0; length * (count - 1)];
        client.read_exact(&mut others).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let last = &mut one[..length];
        client.read_exact(last).unwrap();
        assert!(last.ends_with(b"enough"), "{count}");
    }
}
