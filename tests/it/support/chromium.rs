//! A real browser without a screen: Chromium by its WebDriver, both Debian's, thrown away afterwards.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tempfile::TempDir;

/// A browser with one window, and a profile of its own.
pub struct Chromium {
    pub client: Client,
    driver: Child,
    _profile: TempDir,
}

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

impl Chromium {
    /// Needs `chromium` and `chromedriver` (`tests/tools browser`).
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("driver.log");
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: run through `make test`");
        let deadline = Instant::now() + Duration::from_secs(60);
        let port = loop {
            let text = std::fs::read_to_string(&log).unwrap();
            if let Some(rest) = text.split("started successfully on port ").nth(1) {
                break rest.trim_end().trim_end_matches('.').to_owned();
            }
            assert!(Instant::now() < deadline, "chromedriver did not start: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let data = format!("--user-data-dir={}", profile.path().join("profile").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str(), "--window-size=1000,900"]).collect();
        let capabilities = json!({"goog:chromeOptions": {"args": flags}}).as_object().unwrap().clone();
        let mut builder = ClientBuilder::rustls().unwrap();
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        Self { client, driver, _profile: profile }
    }

    /// Types into the field with that id.
    pub async fn fill(&self, id: &str, text: &str) {
        let field = self.client.find(Locator::Id(id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button with that text, and waits until the page it leads to is there.
    pub async fn press(&self, text: &str) {
        let path = format!("//button[normalize-space()='{text}']");
        let button = self.client.find(Locator::XPath(&path)).await.unwrap_or_else(|_| panic!("no button {text}"));
        button.click().await.unwrap();
    }

    /// The text of the page, as a person reads it.
    pub async fn text(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Waits until the address contains that.
    pub async fn arrives(&self, part: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let url = self.client.current_url().await.unwrap().to_string();
            if url.contains(part) {
                return url;
            }
            assert!(Instant::now() < deadline, "not at {part} but at {url}: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a script in the page finds out. It is run by the driver: the page's policy does not count.
    pub async fn ask(&self, script: &str) -> serde_json::Value {
        self.client.execute(&format!("return {script}"), Vec::new()).await.unwrap()
    }

    pub async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // a test that failed: the driver ends its browser
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
