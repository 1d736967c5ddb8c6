//! A server as a process of its own, and what the kernel says of it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

pub struct Server {
    process: Child,
    pub address: SocketAddr,
    pub path: &'static str,
    /// From its start to the first time that it said it was ready.
    pub start: Duration,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    pub async fn start(program: &Path, arguments: &[&str], path: &'static str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (address, admin) = (free_address()?, free_address()?);
        let began = Instant::now();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let environment = vec![
            ("HOLDFAST_SERVER__PUBLIC__LISTEN", address.to_string()),
            ("HOLDFAST_SERVER__ADMIN__LISTEN", admin.to_string()),
            ("HOLDFAST_DATABASE__URL", format!("sqlite://{}", at("bench.db"))),
            ("HOLDFAST_KEYS__MASTER_KEY_FILE", at("master.key")),
            // counted as ever, and never reached
            ("HOLDFAST_RATE_LIMITS__TOKEN_PER_MINUTE", "100000000".to_owned()),
            ("HOLDFAST_RATE_LIMITS__AUTHORIZE_PER_MINUTE", "100000000".to_owned()),
            ("XDG_DATA_HOME", at("")),
        ];
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.clone()).stdout(Stdio::null()).stderr(Stdio::null());
        let (process, program) = (command.spawn()?, program.to_owned());
        let mut server = Self { process, address, path, start: Duration::ZERO, program, environment, _folder: folder };
        while !server.is_ready().await {
            if began.elapsed() > Duration::from_secs(60) {
                return Err(format!("{} did not become ready in a minute", server.program.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.start = began.elapsed();
        // the policy is read from its folder and applied meanwhile
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(server)
    }

    /// Runs a command of the same program on the same database to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.program).args(arguments).envs(self.environment.clone()).output()?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address).await else { return false };
        let request = "GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).await.is_ok();
        asked && stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200")
    }

    /// User and system time of all its threads, from the scheduler's nanoseconds.
    pub fn cpu(&self) -> Result<Duration> {
        let mut total = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let line = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            total += line.split(' ').next().ok_or("no schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory, MiB.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}
