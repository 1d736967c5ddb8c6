//! Stands between a server and PostgreSQL and, when told to, loses the answer to a commit: the commit is done, and
//! whoever asked for it finds the connection closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What happens meanwhile, before whoever waits for the answer finds out.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// Commits whose answers are yet to be lost.
#[derive(Clone, Default)]
pub struct Lossy(Arc<Mutex<Vec<Meanwhile>>>);

impl Lossy {
    /// Listens in front of the server of this URL; says by which URL it is reached.
    pub async fn before(url: &str) -> (Self, String) {
        let mut url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let lossy = Self::default();
        let own = lossy.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (far, lossy) = (TcpStream::connect(&server).await.unwrap(), own.clone());
                tokio::spawn(async move {
                    let lost = AtomicBool::new(false);
                    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                    // either end of one direction ends the connection
                    tokio::select! {
                        () = lossy.ask(near_read, far_write, &lost) => {}
                        () = lossy.answer(far_read, near_write, &lost) => {}
                    }
                });
            }
        });
        (lossy, url.into())
    }

    /// The answer to the next commit, or to the next after those that are to be lost already, is lost.
    pub fn lose(&self, meanwhile: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().push(Box::new(meanwhile));
    }

    /// Whether all of them are lost by now.
    pub fn has_lost(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    async fn ask(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: &AtomicBool) {
        let mut bytes = vec![0; 64 * 1024];
        let mut reads = false;
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let asked = &bytes[..read];
            let says = |words: &[u8]| asked.windows(words.len()).any(|window| window == words);
            // who only reads, as the change feed does at any time, has nothing to lose
            reads = says(b"READ ONLY") || (reads && !says(b"BEGIN"));
            // a simple query, sent alone: nothing else is asked before it is answered
            if says(b"COMMIT\0") && !reads && !self.has_lost() {
                lost.store(true, Ordering::SeqCst);
            }
            if to.write_all(asked).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: &AtomicBool) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            if lost.load(Ordering::SeqCst) {
                let meanwhile = self.0.lock().unwrap().pop();
                if let Some(meanwhile) = meanwhile {
                    return meanwhile();
                }
                lost.store(false, Ordering::SeqCst);
            }
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }
}
