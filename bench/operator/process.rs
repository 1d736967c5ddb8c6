//! The operator under measurement, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

use super::Result;

/// Where an operator lives: what stays when it is started again.
pub struct Home {
    folder: tempfile::TempDir,
    program: PathBuf,
    namespace: String,
}

/// The operator that runs; ended when dropped.
pub struct Operator {
    process: Child,
    admin: u16,
    /// From its start until /ready said so.
    pub start: Duration,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Home {
    pub fn new(program: &str, namespace: &str) -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, program: program.into(), namespace: namespace.to_owned() })
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("holdfast.db")
    }

    fn key(&self) -> &Path {
        self.folder.path()
    }

    pub async fn start(&self) -> Result<Operator> {
        let (public, admin) = (free_port()?, free_port()?);
        let began = Instant::now();
        let process = Command::new(&self.program)
            .arg("serve")
            .env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG")?)
            .env("HOLDFAST_OPERATOR__ENABLED", "true")
            .env("HOLDFAST_OPERATOR__NAMESPACE", &self.namespace)
            .env("HOLDFAST_DATABASE__URL", format!("sqlite://{}", self.database().display()))
            .env("HOLDFAST_KEYS__MASTER_KEY_FILE", self.key().join("master.key"))
            .env("HOLDFAST_SERVER__PUBLIC__LISTEN", format!("127.0.0.1:{public}"))
            .env("HOLDFAST_SERVER__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .env("HOLDFAST_SERVER__SHUTDOWN_WAIT", "0s")
            .env("HOLDFAST_LOGGING__LEVEL", "error")
            .stdout(Stdio::null())
            .spawn()?;
        let mut operator = Operator { process, admin, start: Duration::ZERO };
        let ready = format!("http://127.0.0.1:{public}/ready");
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            if began.elapsed() > Duration::from_secs(60) {
                return Err("the operator did not become ready in a minute".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        operator.start = began.elapsed();
        Ok(operator)
    }

    pub async fn connect(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(self.database()).busy_timeout(Duration::from_secs(5));
        Ok(options.connect().await?)
    }

    /// Change rows so far.
    pub async fn changes(&self) -> Result<i64> {
        let mut connection = self.connect().await?;
        Ok(sqlx::query("SELECT coalesce(max(sequence), 0) FROM change").fetch_one(&mut connection).await?.try_get(0)?)
    }

    /// The last change by SQL that the log of activity has.
    pub async fn logged(&self) -> Result<i64> {
        let mut connection = self.connect().await?;
        let last = "SELECT coalesce(max(id), 0) FROM activity WHERE occurred_by LIKE 'sql%'";
        Ok(sqlx::query(last).fetch_one(&mut connection).await?.try_get(0)?)
    }
}

impl Operator {
    /// Resident memory, MiB.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Processor time so far, in seconds: user's and system's, of all threads.
    pub fn processor(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).ok_or("no such field")?.parse::<f64>()?) };
        // a tick is a hundredth of a second on every Linux that there is
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Objects that were looked at since the start.
    pub async fn managed(&self) -> Result<usize> {
        self.gauge("holdfast_managed_resources").await
    }

    /// Objects that wait to be looked at.
    pub async fn waiting(&self) -> Result<usize> {
        self.gauge("holdfast_reconcile_queue_depth").await
    }

    /// One of its own gauges, summed over its labels.
    async fn gauge(&self, name: &str) -> Result<usize> {
        let text = reqwest::get(format!("http://127.0.0.1:{}/metrics", self.admin)).await?.text().await?;
        let named = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let of = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
        Ok(text.lines().filter(named).filter_map(of).sum::<f64>() as usize)
    }

    /// As on SIGTERM; returns when it has ended.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        self.process.wait()?;
        Ok(())
    }
}
