//! A person at a client: what was authorized, the code, and what the client does with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::domain::audit::AuditKind;
use holdfast::domain::user::SignedIn;
use holdfast::domain::{Actor, Clock};
use holdfast::oauth::Authorized;
use holdfast::store::{Ended, Revoke, RevokeCause};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::harness::{Answer, Server, now, secret};

pub const USER: &str = "usr_0190163d-8694-739b-aea5-966c26f8ad91";
pub const SESSION: &str = "0190163d-8694-739b-aea5-000000000001";
pub const VERIFIER: &str = "a-verifier.of_43~characters-or-more-0123456789";
pub const CALLBACK: &str = "https://app.example.com/callback";

/// What `USER` authorized `client` to do at the billing resource.
pub fn authorized(client: &str) -> Authorized {
    Authorized {
        client_id: client.to_owned(),
        resource_server_id: "rs_billing".to_owned(),
        scopes: vec!["invoices.read".to_owned(), "invoices.write".to_owned()],
        redirect_uri: Some(CALLBACK.to_owned()),
        code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)),
        dpop_jkt: None,
        signed_in: SignedIn {
            user_id: USER.to_owned(),
            session_id: SESSION.to_owned(),
            authenticated_at: now() - jiff::SignedDuration::from_secs(77),
        },
    }
}

/// Clients of the harness that have no secret.
fn is_public(client: &str) -> bool {
    ["app", "app2", "public"].contains(&client)
}

impl Server {
    pub async fn code(&self, client: &str) -> String {
        self.server.issue_code(&authorized(client)).await.unwrap().expose().to_owned()
    }

    /// `POST /oauth/token` as this client, by its secret or by its name alone.
    pub async fn ask(&self, client: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}/oauth/token", self.public));
        let mut form = form.to_vec();
        let request = if is_public(client) {
            form.push(("client_id", client));
            request
        } else {
            request.basic_auth(client, Some(secret(client)))
        };
        super::harness::answer(request.form(&form)).await
    }

    pub async fn redeem(&self, client: &str, code: &str) -> Answer {
        self.redeem_with(client, code, &[]).await
    }

    /// The same with other parameters in the place of the right ones; an empty value takes one away.
    pub async fn redeem_with(&self, client: &str, code: &str, change: &[(&str, &str)]) -> Answer {
        let right = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let kept = right.into_iter().filter(|(name, _)| change.iter().all(|(other, _)| other != name));
        let form: Vec<(&str, &str)> = kept.chain(change.iter().copied()).collect();
        self.ask(client, &form).await
    }

    pub async fn refresh(&self, client: &str, token: &str) -> Answer {
        self.ask(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub async fn refresh_with(&self, client: &str, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(more);
        self.ask(client, &form).await
    }

    /// How many tokens the database knows of.
    pub async fn issued(&self) -> usize {
        let text = self.metrics.render().unwrap();
        let lines = text.lines().filter(|line| line.starts_with("holdfast_tokens_issued_total"));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    /// Audit rows of a kind.
    pub async fn audited(&self, kind: AuditKind) -> usize {
        self.store.read().await.unwrap().audit_events(Some(kind), 1000).await.unwrap().len()
    }

    /// Ends what belongs to somebody or something, as other rooms do.
    pub async fn end(&self, what: Revoke<'_>, cause: RevokeCause) -> Ended {
        let mut tx = self.store.write(&Actor::controller()).await.unwrap();
        let ended = tx.revoke(what, cause, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        ended
    }

    /// What a client is issued for a fresh code.
    pub async fn sign_in(&self, client: &str) -> Value {
        let code = self.code(client).await;
        let answer = self.redeem(client, &code).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Whether the billing resource takes an access token.
    pub async fn is_active(&self, token: &str) -> bool {
        self.introspect("rs_billing", token).await["active"] == true
    }
}

/// A member of an answer that is a text.
pub fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member}: {answer}"))
}
