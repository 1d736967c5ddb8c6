//! What strangers, guests and careless administrators try, against the real program.

mod administration;
mod canary;
mod connections;
mod files;
mod flow;
mod grants;
mod injection;
mod requests;
mod settings;
mod tokens;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::{Home, Server};

/// A running server with the samples, and the id and secret of their client.
struct Target {
    home: Home,
    server: Server,
    id: String,
    secret: String,
}

impl Target {
    async fn start(home: Home) -> Self {
        let server = home.start().await;
        server.event("secret_generated", |line| line["name"] == "portal").await;
        let (id, secret) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
        Self { home, server, id, secret }
    }

    async fn samples() -> Self {
        Self::start(crate::directory::samples()).await
    }

    fn credentials(&self) -> (&str, &str) {
        (&self.id, &self.secret)
    }

    async fn token(&self) -> String {
        self.server.access_token(&self.id, &self.secret).await
    }

    /// Status and body of a form that the client sends.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let request = self.server.client().post(self.server.public(path)).basic_auth(&self.id, Some(&self.secret));
        let answer = request.form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// It still does what it is there for.
    async fn is_unharmed(&mut self) {
        assert!(self.server.is_running(), "{}", self.server.log());
        let token = self.token().await;
        assert_eq!(self.server.introspect(self.credentials(), &token).await["active"], true);
        let log = self.server.log();
        assert!(!log.contains("panicked") && self.server.events("panic").is_empty(), "{log}");
    }
}

/// What comes back for these bytes until the server closes or `patience` ends; `None` when it is still open then.
async fn raw(port: u16, bytes: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // the server may refuse before it has read everything
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    read.is_ok().then_some(answer)
}
