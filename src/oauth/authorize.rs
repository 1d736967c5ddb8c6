//! The authorization endpoint (OAuth 2.1 §3.1, §4.1): from what a browser brings to a code, by way of a sign-in and the
//! user's consent.
//!
//! What waits for the user is a row, tied to the browser by a cookie and completed once. It keeps the parameters as they
//! came: they are checked again at each step, by the policy of that moment. Nothing of them comes back in a form.

mod finish;
mod flow;
mod respond;
mod rights;

use std::net::IpAddr;

use jiff::SignedDuration;

use self::flow::Flow;
use super::AuthorizationServer;
use super::denials::AUTHORIZATION;
use super::error::Error;
use crate::domain::authorize::{Parameters, Step};
use crate::domain::client::Origin;
use crate::domain::handle::Handle;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::Scope;
use crate::domain::secret::{SecretHash, SecretText};
use crate::domain::user::SignedIn;
use crate::store::{AuthorizationRequest, RequestKind};

pub(super) use self::flow::Halt;

/// A user has so long to sign in and to decide.
const LIFE: SignedDuration = SignedDuration::from_mins(15);

/// A browser at the authorization endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    pub signed_in: Option<&'a SignedIn>,
    /// SHA-256 of the cookie that tells this browser from every other.
    pub binding: SecretHash,
    pub source: IpAddr,
}

/// What the user answered.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    pub allow: bool,
    /// [`ConsentPage::digest`] of the page that was answered.
    pub digest: &'a str,
}

/// What the browser gets next.
#[derive(Debug)]
pub enum Progress {
    /// Back to the client.
    Return(Return),
    /// To the sign-in page, and from there back to this transaction.
    SignIn {
        transaction: SecretText,
        /// Also whoever is signed in has to type the password.
        again: bool,
    },
    Consent(Box<ConsentPage>),
    /// A page that says why not; nobody is redirected.
    Refused(Refused),
}

/// An answer for the client.
#[derive(Debug)]
pub struct Return {
    /// The redirect URI with `code` or `error`.
    pub url: String,
    pub client_id: String,
    pub user_id: Option<String>,
    /// How it came about that the client gets a code, or why it gets none.
    pub outcome: Result<Decision, Refusal>,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The user, just now.
    Granted,
    /// The user, before.
    Remembered,
    /// Nobody has to be asked.
    Implicit,
}

/// Why there is a page and no redirect.
#[derive(Debug)]
pub struct Refused {
    pub reason: Refusal,
    /// Of a client that is known.
    pub client_id: Option<String>,
    /// Where a click leads that tells the client, once the user is known.
    pub back: Option<String>,
}

/// What the user is asked.
#[derive(Debug)]
pub struct ConsentPage {
    pub transaction: SecretText,
    pub digest: String,
    pub client_id: String,
    pub client_name: String,
    pub origin: Origin,
    /// Where the answer goes, and its host (M-11).
    pub redirect_uri: String,
    pub redirect_host: String,
    /// All redirect URIs lead to programs on the user's own machine, whoever wrote them.
    pub only_loopback: bool,
    /// A document describes it, at a host that nobody here has named (CI-19).
    pub from_elsewhere: bool,
    pub resource_name: String,
    pub resource_uri: String,
    pub scopes: Vec<Scope>,
    /// The client can act while the user is away.
    pub stays: bool,
}

impl AuthorizationServer {
    /// An authorization request.
    ///
    /// # Errors
    /// When the database is away, or a client cannot be looked up; every refusal is a page or a redirect.
    pub async fn authorize(&self, parameters: Parameters, visitor: &Visitor<'_>) -> Result<Progress, Error> {
        let ended = match self.begin(parameters, visitor).await {
            Ok(flow) => self.advance(flow, visitor).await,
            Err(halt) => Err(halt),
        };
        self.settle_visit(ended, visitor).await
    }

    /// The same request after the sign-in, or when its page is loaded again.
    ///
    /// # Errors
    /// As [`AuthorizationServer::authorize`].
    pub async fn resume(&self, transaction: &str, visitor: &Visitor<'_>) -> Result<Progress, Error> {
        let ended = match self.reload(transaction, visitor).await {
            Ok(flow) => self.advance(flow, visitor).await,
            Err(halt) => Err(halt),
        };
        self.settle_visit(ended, visitor).await
    }

    /// The user's answer to a consent page. One that was given to another page than the present one is no answer.
    ///
    /// # Errors
    /// As [`AuthorizationServer::authorize`].
    pub async fn choose(
        &self,
        transaction: &str,
        choice: Choice<'_>,
        visitor: &Visitor<'_>,
    ) -> Result<Progress, Error> {
        let ended = match self.reload(transaction, visitor).await {
            Ok(flow) => self.answer(flow, choice, visitor).await,
            Err(halt) => Err(halt),
        };
        self.settle_visit(ended, visitor).await
    }

    /// What the browser gets; a refusal is recorded first.
    async fn settle_visit(&self, ended: Result<Progress, Halt>, visitor: &Visitor<'_>) -> Result<Progress, Error> {
        let progress = ended.or_else(Halt::settle)?;
        let refused = match &progress {
            Progress::Refused(Refused { reason, client_id, .. }) => Some((*reason, client_id.as_deref())),
            Progress::Return(Return { outcome: Err(reason), client_id, .. }) => {
                Some((*reason, Some(client_id.as_str())))
            }
            _ => None,
        };
        if let Some((reason, client_id)) = refused {
            let who = (visitor.signed_in, visitor.source);
            Box::pin(self.note_user_denial((AUTHORIZATION, reason), client_id, who)).await;
        }
        Ok(progress)
    }

    /// Where the answer to a transaction will go, for the browser that began it: a form on the way there must be
    /// allowed to end there.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn returns_to(&self, transaction: &str, binding: SecretHash) -> Result<Option<String>, Error> {
        let visitor = Visitor { signed_in: None, binding, source: std::net::Ipv4Addr::UNSPECIFIED.into() };
        match self.reload(transaction, &visitor).await {
            Ok(flow) => Ok(Some(flow.checked.destination.redirect_uri)),
            Err(Halt::Failed(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn advance(&self, flow: Flow, visitor: &Visitor<'_>) -> Result<Progress, Halt> {
        let now = self.inner.clock.now();
        let signed_in = match (flow.checked.request.sign_in(visitor.signed_in, flow.began, now), visitor.signed_in) {
            (None, Some(signed_in)) => signed_in,
            (Some(Step::Refuse(reason)), _) => return Err(flow.refuse(reason, visitor)),
            _ => {
                let transaction = self.keep(&flow, visitor).await?;
                return Ok(Progress::SignIn { transaction, again: visitor.signed_in.is_some() });
            }
        };
        let rights = self.rights(&flow, signed_in).await?;
        match flow.checked.request.consent(rights.consent) {
            Step::Refuse(reason) => Err(flow.refuse(reason, visitor)),
            Step::AskConsent | Step::SignIn => {
                let transaction = self.keep(&flow, visitor).await?;
                self.ask(&transaction.hash(), signed_in).await?;
                let mut page = rights.page(&flow, transaction);
                page.from_elsewhere = self.is_from_elsewhere(&page.client_id);
                Ok(Progress::Consent(Box::new(page)))
            }
            Step::Issue => self.issue(&flow, signed_in, rights, false).await,
        }
    }

    async fn answer(&self, flow: Flow, choice: Choice<'_>, visitor: &Visitor<'_>) -> Result<Progress, Halt> {
        let now = self.inner.clock.now();
        let signed_in = match (flow.checked.request.sign_in(visitor.signed_in, flow.began, now), visitor.signed_in) {
            (None, Some(signed_in)) => signed_in,
            _ => return self.advance(flow, visitor).await,
        };
        let asked = flow.kept.as_ref().and_then(|kept| kept.session_id.as_deref());
        if asked != Some(signed_in.session_id.as_str()) {
            return self.advance(flow, visitor).await;
        }
        if !choice.allow {
            return self.deny(&flow, signed_in, visitor).await;
        }
        let rights = self.rights(&flow, signed_in).await?;
        if rights.shown.digest() != choice.digest {
            return self.advance(flow, visitor).await;
        }
        self.issue(&flow, signed_in, rights, true).await
    }

    /// The transaction of a flow; a new one for a flow that has none yet.
    async fn keep(&self, flow: &Flow, visitor: &Visitor<'_>) -> Result<SecretText, Error> {
        if let Some(transaction) = &flow.transaction {
            return Ok(transaction.clone());
        }
        let transaction = Handle::Transaction.generate(&*self.inner.entropy)?;
        let row = AuthorizationRequest {
            hash: transaction.hash(),
            kind: RequestKind::Browser,
            client_id: flow.checked.client.id.clone(),
            parameters: flow.parameters.clone(),
            jkt: flow.jkt.clone(),
            binding: Some(visitor.binding),
            pushed: flow.pushed,
            session_id: None,
            created_at: flow.began,
            expires_at: flow.began + LIFE,
            used_at: None,
        };
        let mut tx = self.write(&crate::domain::Actor::server()).await?;
        tx.put_authorization_request(&row).await?;
        tx.commit().await?;
        Ok(transaction)
    }

    async fn ask(&self, transaction: &SecretHash, signed_in: &SignedIn) -> Result<(), Error> {
        let mut tx = self.write(&crate::domain::Actor::server()).await?;
        tx.ask_session(transaction, &signed_in.session_id).await?;
        Ok(tx.commit().await?)
    }
}
