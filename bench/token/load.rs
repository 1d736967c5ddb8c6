//! Load: so many connections, each with one request at a time, over HTTP/1.1 that is written by hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{Result, SECRET};

pub struct Load {
    pub address: SocketAddr,
    pub path: &'static str,
    pub connections: usize,
}

/// What one round showed. Times in milliseconds, CPU in microseconds a request.
pub struct Measured {
    pub requests: u64,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub cpu: f64,
}

impl Load {
    pub async fn run(&self, length: Duration) -> Result<Measured> {
        let authorization = STANDARD.encode(format!("bench:{SECRET}"));
        let body = "grant_type=client_credentials&scope=invoices.read";
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {authorization}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        );
        let began = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..self.connections {
            connections.spawn(connection(self.address, request.clone().into_bytes(), began + length));
        }
        let mut times = Vec::new();
        while let Some(ended) = connections.join_next().await {
            times.append(&mut ended?.map_err(|error| error.to_string())?);
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
        Ok(Measured { requests: times.len() as u64, rate, p50: at(0.5), p99: at(0.99), cpu: 0.0 })
    }
}

type Times = std::result::Result<Vec<Duration>, Box<dyn std::error::Error + Send + Sync>>;

async fn connection(address: SocketAddr, request: Vec<u8>, until: Instant) -> Times {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(&request).await?;
        let mut filled = 0;
        loop {
            filled += match stream.read(&mut buffer[filled..]).await? {
                0 => return Err("the server closed the connection".into()),
                read => read,
            };
            if is_whole(&buffer[..filled])? {
                break;
            }
        }
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Whether an answer has arrived to its end; an error if it is not a token.
fn is_whole(answer: &[u8]) -> std::result::Result<bool, String> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("not a token: {text}"));
    }
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    Ok(body.len() >= length.unwrap_or(usize::MAX))
}
