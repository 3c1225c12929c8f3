//! A file server on the test host's loopback, for a dom0 to fetch from through QEMU's user network.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

/// Starts serving `data` to every request and gives back the port. The thread ends with the runner.
pub fn serve(data: Arc<Vec<u8>>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on loopback")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let data = Arc::clone(&data);
            std::thread::spawn(move || answer(stream, &data));
        }
    });
    Ok(port)
}

/// Reads one request, whatever it asks for, and sends the data. A guest that hangs up early is its own business.
fn answer(mut stream: std::net::TcpStream, data: &[u8]) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let mut request = [0; 2048];
    let _ = stream.read(&mut request);
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", data.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(data));
}

/// Bytes that no pattern fits, the same on every machine (xorshift).
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
