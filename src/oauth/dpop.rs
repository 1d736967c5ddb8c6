//! DPoP (RFC 9449): who sends a request proves that it holds a key, and what is issued is bound to that key.
//!
//! A proof is checked before anything else is used up, and used up with everything else in the one transaction that
//! issues: a request that is told to come back with a nonce has lost nothing (P-15).

mod nonce;

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::AuthorizationServer;
use super::client_auth::Authenticated;
use super::error::Error;
use super::jws::{self, Algorithm, Expect, Invalid};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::clock::uuid_v7;
use crate::domain::policy::ClientEntry;
use crate::domain::proof::ProofFault;
use crate::domain::refusal::Refusal;
use crate::store::{self, Once, OnceKind, Tx};

pub(super) use self::nonce::Nonces;

/// What a proof must be.
const PROOF: Expect<'_> = Expect { types: &["dpop+jwt"], untyped: false, algorithms: &Algorithm::ALL };
/// Longer identifiers are nobody's.
const MAX_ID: usize = 512;
/// A proof is known so much longer than it is accepted: clocks of replicas differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// How proofs are looked at.
#[derive(Debug, Clone, Copy)]
pub struct DpopOptions {
    /// Whether a proof must carry a nonce of this server (RFC 9449 §8).
    pub nonce_required: bool,
    /// How far `iat` may be from this server's clock.
    pub window: SignedDuration,
}

/// The `DPoP` headers of a request, and what they have to be about.
#[derive(Debug, Clone)]
pub struct Shown {
    proofs: Vec<Vec<u8>>,
    method: String,
    path: String,
}

impl Shown {
    /// `None` without such a header. The path is the one that was asked for; its host is never believed.
    pub fn read<'a>(headers: impl Iterator<Item = &'a [u8]>, method: &str, path: &str) -> Option<Self> {
        let proofs: Vec<Vec<u8>> = headers.map(<[u8]>::to_vec).collect();
        (!proofs.is_empty()).then(|| Self { proofs, method: method.to_owned(), path: path.to_owned() })
    }
}

/// A proof that holds, and is not used up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proved {
    /// RFC 7638 thumbprint of the key.
    pub jkt: String,
    pub once: Once,
}

impl AuthorizationServer {
    /// Checks the proof of a request, if it has one; nothing is used up.
    ///
    /// # Errors
    /// A proof that does not hold, or one without the nonce that is asked for.
    pub(super) fn prove(&self, shown: Option<&Shown>) -> Result<Option<Proved>, Error> {
        let Some(shown) = shown else { return Ok(None) };
        let (now, options) = (self.inner.clock.now(), self.inner.dpop.options());
        let proof = Proof::read(shown, &self.inner.issuer).map_err(Refusal::InvalidProof)?;
        let nonce = proof.nonce.as_deref();
        if options.nonce_required && !nonce.is_some_and(|nonce| self.inner.dpop.accepts(nonce, now)) {
            return Err(Error::NonceRequired { nonce: self.inner.dpop.current(now) });
        }
        proof.in_time(now, options.window).map_err(Refusal::InvalidProof)?;
        let once = Once {
            kind: OnceKind::DpopProof,
            principal: format!("{} {}", proof.jkt, shown.path),
            id: proof.id,
            expires_at: proof.issued_at + options.window + LEEWAY,
            by: uuid_v7(now, &*self.inner.entropy)?,
        };
        Ok(Some(Proved { jkt: proof.jkt, once }))
    }

    /// A proof came twice: somebody has what is not theirs, or a client does not wait for its answers.
    pub(super) async fn record_replay(&self, client_id: Option<&str>, source: IpAddr) {
        let record = Record { client_id, source: Some(source), ..Record::new(self.inner.clock.now(), Actor::server()) };
        let write = || async {
            let mut tx = self.inner.store.write(&Actor::server()).await?;
            tx.audit(AuditKind::DpopReplay, &record).await?;
            tx.commit().await
        };
        if let Err(error) = write().await {
            tracing::error!(event = "database_error", %error, pool = "audit");
        }
    }

    /// The nonce that the next proof is to carry (RFC 9449 §8.2), where nonces are asked for.
    pub fn dpop_nonce(&self) -> Option<String> {
        let nonces = &self.inner.dpop;
        nonces.options().nonce_required.then(|| nonces.current(self.inner.clock.now()))
    }
}

/// Who sent a token request, and what it showed that can be shown once.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub client: &'a ClientEntry,
    pub authenticated: &'a Authenticated,
    pub proved: Option<&'a Proved>,
}

impl<'a> Sender<'a> {
    /// The credential that authenticated the client.
    pub fn credential(&self) -> Option<&'a str> {
        self.authenticated.credential.as_deref()
    }

    /// Thumbprint of the key that was proved.
    pub fn jkt(&self) -> Option<&'a str> {
        self.proved.map(|proved| proved.jkt.as_str())
    }

    /// Whether there is anything that can be used once.
    pub fn uses_something_up(&self) -> bool {
        self.proved.is_some() || self.authenticated.assertion.is_some()
    }

    /// Uses up, in the transaction that does what was asked, what can be used once; a refusal when another request
    /// has, and then the transaction must not be committed.
    pub async fn use_up(&self, tx: &mut Tx, now: Timestamp) -> Result<Result<(), Refusal>, store::Error> {
        if !self.authenticated.spend(tx, now).await? {
            return Ok(Err(Refusal::AssertionReused));
        }
        match self.proved {
            Some(proved) if !tx.use_once(&proved.once, now).await? => {
                Ok(Err(Refusal::InvalidProof(ProofFault::Replayed)))
            }
            _ => Ok(Ok(())),
        }
    }
}

/// What a proof says.
struct Proof {
    jkt: String,
    id: String,
    issued_at: Timestamp,
    claims: jws::Claims,
    nonce: Option<String>,
}

impl Proof {
    /// A proof for this request (RFC 9449 §4.3), of whatever time.
    fn read(shown: &Shown, issuer: &str) -> Result<Self, ProofFault> {
        let [proof] = shown.proofs.as_slice() else { return Err(ProofFault::Several) };
        let text = std::str::from_utf8(proof).map_err(|_| ProofFault::Malformed)?;
        let (key, claims) = jws::verify_embedded(text, &PROOF).map_err(fault)?;
        let said = |name| claims.text(name).map_err(fault)?.ok_or(ProofFault::Malformed);
        if said("htm")? != shown.method {
            return Err(ProofFault::Method);
        }
        if !is_target(said("htu")?, issuer, &shown.path) {
            return Err(ProofFault::Target);
        }
        let nonce = claims.text("nonce").map_err(fault)?.map(str::to_owned);
        let id = claims.jti.clone().filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(ProofFault::Malformed)?;
        let issued_at = claims.iat.ok_or(ProofFault::Malformed)?;
        Ok(Self { jkt: key.thumbprint, id, issued_at, claims, nonce })
    }

    fn in_time(&self, now: Timestamp, window: SignedDuration) -> Result<(), ProofFault> {
        let old = now.duration_since(self.issued_at) > window;
        if old || self.claims.in_time(now, window).is_err() { Err(ProofFault::Time) } else { Ok(()) }
    }
}

fn fault(invalid: Invalid) -> ProofFault {
    match invalid {
        Invalid::Malformed | Invalid::Header | Invalid::Type | Invalid::Claim(_) => ProofFault::Malformed,
        Invalid::Algorithm => ProofFault::Algorithm,
        Invalid::NoKey | Invalid::Key(_) => ProofFault::Key,
        Invalid::Signature => ProofFault::Signature,
    }
}

/// Whether a URL is that of a path of this server. Scheme and host compare in any case and the default port may be
/// there or not; the path is taken as it is written, query and fragment do not count (RFC 9449 §4.3).
fn is_target(htu: &str, issuer: &str, path: &str) -> bool {
    let (Ok(said), Ok(own)) = (Url::parse(htu), Url::parse(issuer)) else { return false };
    let written = htu.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let written = written.and_then(|rest| rest.split(['?', '#']).next());
    let named = !said.username().is_empty() || said.password().is_some();
    !named && said.origin().is_tuple() && said.origin() == own.origin() && written == Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-05
    #[test]
    fn the_target_of_a_proof_is_compared_as_the_rfc_says() {
        let at = |htu| is_target(htu, "https://auth.example.com/t1", "/t1/oauth/token");
        for htu in [
            "https://auth.example.com/t1/oauth/token",
            "HTTPS://AUTH.example.COM/t1/oauth/token",
            "https://auth.example.com:443/t1/oauth/token",
            "https://auth.example.com/t1/oauth/token?a=b#c",
        ] {
            assert!(at(htu), "{htu}");
        }
        for htu in [
            "",
            "/t1/oauth/token",
            "http://auth.example.com/t1/oauth/token",
            "https://auth.example.com:8443/t1/oauth/token",
            "https://other.example.com/t1/oauth/token",
            "https://auth.example.com/oauth/token",
            "https://auth.example.com/t1/oauth/token/",
            "https://auth.example.com/t1/oauth/../oauth/token",
            "https://auth.example.com/t1/oauth/%74oken",
            "https://auth.example.com/T1/oauth/token",
            "https://user@auth.example.com/t1/oauth/token",
            "https://auth.example.com",
            "data:/t1/oauth/token",
        ] {
            assert!(!at(htu), "{htu}");
        }
    }
}
