//! An OAuth client's row as an OAuthClient.

use serde_json::Value;

use super::Writer;
use crate::crd;
use crate::crd::common::{Common, DeletionPolicy};
use crate::crd::oauth_client as to;
use crate::crd::reference::LocalRef;
use crate::crd::secret::ClientSecret;
use crate::domain::Kind;
use crate::domain::client as from;

pub(super) fn object(writer: &mut Writer<'_>, client: &from::Client, deletion: DeletionPolicy) -> crd::OAuthClient {
    let resources = client.resources.iter().filter_map(|attachment| resource(writer, attachment)).collect();
    let spec = crd::OAuthClientSpec {
        client_id: id(writer),
        display_name: writer.display_name(&client.display_name),
        state: match client.state {
            from::ClientState::Active => to::ClientState::Active,
            from::ClientState::Suspended => to::ClientState::Suspended,
        },
        grant_types: client.grant_types.iter().map(grant_type).collect(),
        redirect_uris: client.redirect_uris.clone(),
        authentication: authentication(writer, client),
        agent: writer.value("spec.agent", &client.agent),
        resources,
        consent: writer.word("spec.consent", &client.consent),
        tokens: to::ClientTokens {
            refresh_lifetime_seconds: client.tokens.refresh_lifetime_seconds,
            refresh_idle_seconds: client.tokens.refresh_idle_seconds,
            sender_constraint: writer.word("spec.tokens.senderConstraint", &client.tokens.sender_constraint),
        },
        common: Common { deletion_policy: deletion, ..Common::default() },
    };
    crd::OAuthClient::new(&writer.own.name, spec)
}

/// An id that was made for an owned row comes back to its owner, and could not be asked for: clientID is immutable.
fn id(writer: &mut Writer<'_>) -> Option<String> {
    let id = &writer.entity.id;
    let made = id.strip_prefix("client-").is_some_and(|rest| rest.len() == 32 && uuid::Uuid::try_parse(rest).is_ok());
    if made && writer.owned {
        writer.note(format!("the client id {id} was made for this object"));
        return None;
    }
    Some(id.clone())
}

const fn grant_type(grant: &from::GrantType) -> to::GrantType {
    match grant {
        from::GrantType::AuthorizationCode => to::GrantType::AuthorizationCode,
        from::GrantType::RefreshToken => to::GrantType::RefreshToken,
        from::GrantType::ClientCredentials => to::GrantType::ClientCredentials,
        from::GrantType::DeviceCode => to::GrantType::DeviceCode,
        from::GrantType::TokenExchange => to::GrantType::TokenExchange,
        from::GrantType::JwtBearer => to::GrantType::JwtBearer,
    }
}

fn authentication(writer: &mut Writer<'_>, client: &from::Client) -> to::Authentication {
    let method = match client.authentication_method {
        from::AuthenticationMethod::None => to::AuthenticationMethod::None,
        from::AuthenticationMethod::ClientSecretBasic => to::AuthenticationMethod::ClientSecretBasic,
        from::AuthenticationMethod::ClientSecretPost => to::AuthenticationMethod::ClientSecretPost,
        from::AuthenticationMethod::PrivateKeyJWT => to::AuthenticationMethod::PrivateKeyJWT,
        from::AuthenticationMethod::WorkloadIdentity => to::AuthenticationMethod::WorkloadIdentity,
    };
    let has_secret = client.authentication_method.has_secret();
    if has_secret {
        let text = if writer.owned {
            "the database does not know the name of its Secret, nor whether you brought it: see to spec.authentication.secret"
        } else {
            "a new secret is made and put into this Secret; the one in use works on for the overlap of a day"
        };
        writer.note(text);
    }
    let secret = has_secret.then(|| ClientSecret {
        source: crd::secret::SecretSource::Generated,
        name: secret_name(&writer.own.name),
        keys: crd::secret::SecretKeys::default(),
        template: None,
        rotation: None,
    });
    to::Authentication {
        method,
        secret,
        jwks: writer.value("spec.authentication.jwks", &client.jwks),
        jwks_uri: client.jwks_uri.clone(),
        workload_identity: workload_identity(writer, &client.workload_identity),
    }
}

pub(super) fn secret_name(object: &str) -> String {
    format!("{object}-oauth")
}

fn workload_identity(writer: &mut Writer<'_>, kept: &Value) -> Option<to::WorkloadIdentity> {
    let text = |name: &str| kept.get(name).and_then(Value::as_str);
    let none = to::WorkloadIdentity { service_account_ref: None, trusted_issuer_ref: None, subject: None };
    if let Some((namespace, name)) = text("serviceAccount").and_then(|account| account.split_once('/')) {
        if namespace != writer.own.namespace {
            writer.note(format!("the service account {namespace}/{name} must be in the namespace of this object"));
        }
        return Some(to::WorkloadIdentity { service_account_ref: Some(LocalRef { name: name.to_owned() }), ..none });
    }
    let (namespace, name) = text("trustedIssuer")?.split_once('/')?;
    let namespace = (namespace != writer.own.namespace).then(|| namespace.to_owned());
    let issuer = crd::reference::ObjectRef { name: name.to_owned(), namespace };
    Some(to::WorkloadIdentity { trusted_issuer_ref: Some(issuer), subject: text("subject").map(str::to_owned), ..none })
}

fn resource(writer: &mut Writer<'_>, attachment: &from::Attachment) -> Option<to::Attachment> {
    let field = format!("spec.resources[{}]", attachment.name);
    let resource_server_ref = writer.reference(Kind::ResourceServer, &attachment.resource_server_id, &field)?;
    Some(to::Attachment { name: attachment.name.clone(), resource_server_ref, scopes: attachment.scopes.clone() })
}
