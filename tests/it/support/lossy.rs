//! Stands between a server and PostgreSQL and, when told to, loses the answer to a commit: the commit is done, and
//! whoever asked for it finds the connection closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What happens meanwhile, before whoever waits for the answer finds out.
pub type Meanwhile = Box<dyn FnOnce() + Send>;

/// Whether the answer to a commit is lost, asked when it is on its way.
type Decide = Box<dyn Fn() -> Option<Meanwhile> + Send + Sync>;

/// Commits whose answers are yet to be lost.
#[derive(Clone, Default)]
pub struct Lossy {
    queue: Arc<Mutex<Vec<Meanwhile>>>,
    /// Asked at the commits of this actor.
    decide: Option<Arc<(String, Decide)>>,
}

/// Of one connection.
#[derive(Default)]
struct Lost {
    next: AtomicBool,
    decided: Mutex<Option<Meanwhile>>,
}

impl Lossy {
    /// Listens in front of the server of this URL; says by which URL it is reached.
    pub async fn before(url: &str) -> (Self, String) {
        let lossy = Self::default();
        let url = lossy.listen(url).await;
        (lossy, url)
    }

    /// The same; `decide` is asked at each commit of a transaction that wrote under this name.
    pub async fn at_commits_of(
        actor: &str,
        url: &str,
        decide: impl Fn() -> Option<Meanwhile> + Send + Sync + 'static,
    ) -> String {
        let decide: Decide = Box::new(decide);
        Self { decide: Some(Arc::new((actor.to_owned(), decide))), ..Self::default() }.listen(url).await
    }

    async fn listen(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let own = self.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (far, lossy) = (TcpStream::connect(&server).await.unwrap(), own.clone());
                tokio::spawn(async move {
                    let lost = Lost::default();
                    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                    // either end of one direction ends the connection
                    tokio::select! {
                        () = lossy.ask(near_read, far_write, &lost) => {}
                        () = lossy.answer(far_read, near_write, &lost) => {}
                    }
                });
            }
        });
        url.into()
    }

    /// The answer to the next commit, or to the next after those that are to be lost already, is lost.
    pub fn lose(&self, meanwhile: impl FnOnce() + Send + 'static) {
        self.queue.lock().unwrap().push(Box::new(meanwhile));
    }

    /// Whether all of them are lost by now.
    pub fn has_lost(&self) -> bool {
        self.queue.lock().unwrap().is_empty()
    }

    async fn ask(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: &Lost) {
        let mut bytes = vec![0; 64 * 1024];
        let (mut reads, mut named) = (false, false);
        // as a parameter is bound: its length, and the text
        let name = self.decide.as_ref().map(|decide| {
            let length = u32::try_from(decide.0.len()).unwrap();
            [&length.to_be_bytes(), decide.0.as_bytes()].concat()
        });
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let asked = &bytes[..read];
            let says = |words: &[u8]| asked.windows(words.len()).any(|window| window == words);
            // who only reads, as the change feed does at any time, has nothing to lose
            reads = says(b"READ ONLY") || (reads && !says(b"BEGIN"));
            named = name.as_ref().is_some_and(|name| says(name) || (named && !says(b"BEGIN")));
            // a simple query, sent alone: nothing else is asked before it is answered
            if says(b"COMMIT\0") && !reads && !self.has_lost() {
                lost.next.store(true, Ordering::SeqCst);
            }
            if let Some(decide) = self.decide.as_ref().filter(|_| says(b"COMMIT\0") && named) {
                *lost.decided.lock().unwrap() = decide.1();
            }
            if to.write_all(asked).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: &Lost) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let decided = lost.decided.lock().unwrap().take();
            if let Some(meanwhile) = decided {
                return meanwhile();
            }
            if lost.next.load(Ordering::SeqCst) {
                let meanwhile = self.queue.lock().unwrap().pop();
                if let Some(meanwhile) = meanwhile {
                    return meanwhile();
                }
                lost.next.store(false, Ordering::SeqCst);
            }
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }
}
