//! What a user may give to a client, and whether they have to be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ConsentPage;
use super::flow::{Flow, Halt};
use crate::domain::access;
use crate::domain::authorize::Consent;
use crate::domain::client::{AuthenticationMethod, GrantType, Origin};
use crate::domain::consent::Shown;
use crate::domain::decide::{self, Ask, Grant};
use crate::domain::policy::{ClientEntry, Policy, ResourceServerEntry};
use crate::domain::redirect;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;
use crate::domain::user::SignedIn;

use super::Refused;
use crate::oauth::AuthorizationServer;
use crate::store;

/// What one user may give to one client.
pub(super) struct Rights {
    /// requested ∩ attached ∩ the user's roles.
    pub grant: Grant,
    pub resource_server: Arc<ResourceServerEntry>,
    /// The default role, for a user who comes for the first time.
    pub first_role: Option<String>,
    pub shown: Shown,
    pub consent: Consent,
    /// The consent that stands.
    pub consent_id: Option<String>,
}

impl AuthorizationServer {
    pub(super) async fn rights(&self, flow: &Flow, signed_in: &SignedIn) -> Result<Rights, Halt> {
        let (client, request) = (&flow.checked.client, &flow.checked.request);
        let ask = Ask { resources: &request.resources, scope: request.scope.as_deref(), bound: false };
        let snapshot = self.inner.store.snapshot();
        let decide = |allowed: Option<&BTreeSet<String>>| {
            decide::user(client, GrantType::AuthorizationCode, &ask, allowed, &*snapshot)
        };
        let refused = |reason| {
            let back = Some(flow.checked.destination.error(reason));
            Halt::Here(Refused { reason, client_id: Some(client.id.clone()), back })
        };
        let asked = decide(None).map_err(refused)?;
        let found = snapshot.resource_server(&asked.resource_server_id).cloned();
        let resource_server = found.ok_or_else(|| refused(Refusal::InvalidTarget))?;
        let policy = &resource_server.resource_server;
        let (user, database) = (&signed_in.user_id, &self.inner.store);
        let read = || async {
            let mut tx = database.read().await?;
            let roles = tx.roles(user, &resource_server.id).await?;
            Ok::<_, store::Error>((roles, tx.consent(user, &client.id, &resource_server.id).await?))
        };
        let (assigned, given) = self.inner.patience.hold(read).await?;
        let mut assigned: Vec<String> = assigned.into_iter().map(|assignment| assignment.role).collect();
        let first_role = access::first_role(policy, user, &assigned).map(str::to_owned);
        assigned.extend(first_role.clone());
        let allowed = access::scopes(policy, user, &assigned);
        let grant = decide(Some(&allowed)).map_err(|_| refused(Refusal::NoRole))?;
        let host = redirect::shown(&flow.checked.destination.redirect_uri);
        let shown = Shown::of(&client.id, &client.client, host, policy, &grant.scopes);
        let consent = if is_implicit(client, &resource_server) {
            Consent::Implicit
        } else if is_proven(client, &flow.checked.destination.redirect_uri)
            && given.as_ref().is_some_and(|given| given.shown.covers(&shown))
        {
            Consent::Given
        } else {
            Consent::Missing
        };
        let consent_id = given.map(|given| given.id);
        Ok(Rights { grant, resource_server, first_role, shown, consent, consent_id })
    }
}

impl Rights {
    pub fn page(&self, flow: &Flow, transaction: SecretText) -> ConsentPage {
        let (entry, policy) = (&flow.checked.client, &self.resource_server.resource_server);
        let redirect_uri = &flow.checked.destination.redirect_uri;
        let granted = |scope: &&crate::domain::resource_server::Scope| self.grant.scopes.contains(&scope.name);
        ConsentPage {
            transaction,
            digest: self.shown.digest(),
            client_id: entry.id.clone(),
            client_name: entry.client.display_name.clone(),
            origin: Origin::of(&entry.id),
            redirect_host: redirect::shown(redirect_uri).to_owned(),
            redirect_uri: redirect_uri.clone(),
            only_loopback: entry.client.redirect_uris.iter().all(|uri| redirect::is_loopback(uri)),
            from_elsewhere: false,
            resource_name: policy.display_name.clone(),
            resource_uri: policy.resource_uri.clone(),
            scopes: policy.scopes.iter().filter(granted).cloned().collect(),
            stays: entry.client.grant_types.contains(&GrantType::RefreshToken),
        }
    }
}

/// Client and resource server both say so; nobody says so of a client that nobody vouches for.
fn is_implicit(client: &ClientEntry, resource_server: &ResourceServerEntry) -> bool {
    Origin::of(&client.id) == Origin::Managed
        && client.client.consent == "Implicit"
        && resource_server.resource_server.consent == "ImplicitAllowed"
}

/// Whether the code can reach nobody but this client: it authenticates, or its host does. A program on the user's
/// machine can call itself whatever it likes, so that its user is asked each time (R-32, RFC 8252 §8.6).
fn is_proven(client: &ClientEntry, redirect_uri: &str) -> bool {
    client.client.authentication_method != AuthenticationMethod::None
        || redirect::place(redirect_uri) == Ok(redirect::Place::Https)
}
