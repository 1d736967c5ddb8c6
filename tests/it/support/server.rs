//! The real program serving on free ports, with a home of its own; killed when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;

/// Where a server lives: what survives when it is stopped and started again.
pub struct Home {
    dir: tempfile::TempDir,
    pub public: u16,
    pub admin: u16,
    /// Beside the defaults; a later one wins.
    pub environment: Vec<(String, String)>,
    pub arguments: Vec<String>,
}

/// A server that runs.
pub struct Server {
    child: Child,
    log: PathBuf,
    public: u16,
    admin: u16,
    client: reqwest::Client,
}

/// How long a test waits for what must happen at once.
const SOON: Duration = Duration::from_secs(20);

impl Home {
    /// Server only, SQLite, a short drain.
    pub fn new() -> Self {
        let (public, admin) = (free_port(), free_port());
        let environment = vec![];
        let arguments = vec!["serve".to_owned()];
        let mut home = Self { dir: tempfile::tempdir().unwrap(), public, admin, environment, arguments };
        home.set("HOLDFAST_SERVER__PUBLIC__LISTEN", &format!("127.0.0.1:{public}"));
        home.set("HOLDFAST_SERVER__ADMIN__LISTEN", &format!("127.0.0.1:{admin}"));
        home.set("HOLDFAST_ISSUER", &format!("http://localhost:{public}"));
        home.set("HOLDFAST_SERVER__SHUTDOWN_WAIT", "0s");
        home
    }

    /// The same with a policy directory that holds these files.
    pub fn with_policy(files: &[(&str, &str)]) -> Self {
        let mut home = Self::new();
        std::fs::create_dir(home.policy()).unwrap();
        for (name, text) in files {
            home.write(name, text);
        }
        home.arguments.extend(["--policy-dir".to_owned(), home.policy().display().to_string()]);
        home
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn policy(&self) -> PathBuf {
        self.path().join("policy")
    }

    /// `$HOME/.local/share/holdfast`
    pub fn data(&self) -> PathBuf {
        self.path().join(".local/share/holdfast")
    }

    /// Puts a file into the policy directory, at once and whole.
    pub fn write(&self, name: &str, text: &str) {
        let draft = self.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.policy().join(name)).unwrap();
    }

    /// A key of a generated Secret of the namespace `default`.
    pub fn secret(&self, name: &str, key: &str) -> String {
        std::fs::read_to_string(self.data().join("secrets/default").join(name).join(key)).unwrap()
    }

    /// The program with this home's environment and nothing of the test's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.env_clear().env("HOME", self.path()).current_dir(self.path()).args(arguments);
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&self) -> Server {
        let server = self.launch();
        server.ready().await;
        server
    }

    /// Starts the server and waits for nothing.
    pub fn launch(&self) -> Server {
        let log = self.path().join("log");
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(15)).build().unwrap();
        Server { child, log, public: self.public, admin: self.admin, client }
    }

    /// Runs the server's command to its end, which is to be soon.
    pub fn refused(&self) -> Output {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.command(&arguments).output().unwrap()
    }

    /// An admin API key, made on the database.
    pub fn api_key(&self, name: &str, role: &str) -> String {
        let output = self.command(&["admin", "apikey", "create", "--name", name, "--role", role, "--json"]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["key"].as_str().unwrap().to_owned()
    }
}

impl Server {
    pub fn public(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.public)
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    async fn ready(&self) {
        let url = self.public("/ready");
        let get = async || self.client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        let deadline = Instant::now() + SOON;
        while !get().await {
            assert!(Instant::now() < deadline, "not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn get(&self, url: &str) -> Response {
        self.client.get(url).send().await.unwrap()
    }

    /// POST /oauth/token by client_credentials.
    pub async fn token(&self, id: &str, secret: &str) -> Response {
        let form = [("grant_type", "client_credentials")];
        self.client.post(self.public("/oauth/token")).basic_auth(id, Some(secret)).form(&form).send().await.unwrap()
    }

    /// The status of the answer, if there is one.
    pub async fn try_token(&self, id: &str, secret: &str) -> Option<u16> {
        let request = self.client.post(self.public("/oauth/token")).basic_auth(id, Some(secret));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// A token, which there must be.
    pub async fn access_token(&self, id: &str, secret: &str) -> String {
        let answer: Value = self.token(id, secret).await.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// POST /oauth/introspect
    pub async fn introspect(&self, (id, secret): (&str, &str), token: &str) -> Value {
        let url = self.public("/oauth/introspect");
        let request = self.client.post(url).basic_auth(id, Some(secret)).form(&[("token", token)]);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The lines of the log that say `event` so far.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let lines: Vec<Value> = self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.into_iter().filter(|line| line["event"] == event).collect()
    }

    /// Waits for a line that says `event` and is accepted.
    pub async fn event(&self, event: &str, accepted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(line) = self.events(event).into_iter().find(|line| accepted(line)) {
                return line;
            }
            assert!(Instant::now() < deadline, "no {event}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `TERM`, `INT`, `KILL`, `HUP`
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
