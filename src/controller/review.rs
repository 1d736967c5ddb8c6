//! Whose a ServiceAccount token is, as the API server says (TokenReview).

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::domain::SecretText;
use crate::domain::reviewer::{ReviewError, Reviewer, ServiceAccount};

use super::error::Answer;

/// The API server of this cluster.
pub struct TokenReviews {
    api: Api<TokenReview>,
}

impl TokenReviews {
    pub fn new(client: Client) -> Self {
        Self { api: Api::all(client) }
    }

    async fn ask(&self, token: &SecretText, audience: &str) -> Result<Option<ServiceAccount>, ReviewError> {
        let spec =
            TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: Some(token.expose().to_owned()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.api.create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| ReviewError(Box::new(Answer::of(&error))))?.status.unwrap_or_default();
        // an authenticator that knows no audiences says that a token is good and names none
        let ours = status.audiences.is_some_and(|audiences| audiences.iter().any(|found| found == audience));
        let good = status.authenticated == Some(true) && status.error.is_none_or(|error| error.is_empty()) && ours;
        let username = status.user.and_then(|user| user.username).filter(|_| good);
        Ok(username.and_then(|username| ServiceAccount::parse(&username)))
    }
}

impl Reviewer for TokenReviews {
    fn review<'a>(
        &'a self,
        token: &'a SecretText,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServiceAccount>, ReviewError>> {
        self.ask(token, audience).boxed()
    }
}
