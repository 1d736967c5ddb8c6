//! A provider's row as a Provider.

use super::Writer;
use crate::crd;
use crate::crd::common::{Common, DeletionPolicy};
use crate::crd::provider::{Oidc, ProviderType};
use crate::domain::provider as from;

/// Nothing when its type is none that there is.
pub(super) fn object(
    writer: &mut Writer<'_>,
    provider: &from::Provider,
    deletion: DeletionPolicy,
) -> Option<crd::Provider> {
    let kind: ProviderType = writer.value("spec.type", &provider.provider_type.as_str().into())?;
    if !provider.client_secret_ref.is_null() || kind == ProviderType::SignedAssertion {
        writer.note("the Secret that it refers to is not exported: bring it with label holdfast.dev/referenced");
    }
    let settings = &provider.settings;
    let is = |other| kind == other;
    let oidc: Option<Oidc> = is(ProviderType::Oidc).then(|| writer.value("spec.oidc", settings)).flatten();
    let spec = crd::ProviderSpec {
        kind,
        purposes: provider.purposes.iter().filter_map(|p| writer.value("spec.purposes", &p.as_str().into())).collect(),
        display_name: writer.display_name(&provider.display_name),
        oidc,
        oauth2: is(ProviderType::OAuth2).then(|| writer.value("spec.oauth2", settings)).flatten(),
        api_key: is(ProviderType::APIKey).then(|| writer.value("spec.apiKey", settings)).flatten(),
        signed_assertion: is(ProviderType::SignedAssertion)
            .then(|| writer.value("spec.signedAssertion", settings))
            .flatten(),
        client_id: (!provider.client_id.is_empty()).then(|| provider.client_id.clone()),
        client_secret_ref: writer.value("spec.clientSecretRef", &provider.client_secret_ref),
        scopes: provider.scopes.clone(),
        // unset means sub, and whether it is set is immutable
        subject_claim: (provider.subject_claim != "sub").then(|| provider.subject_claim.clone()),
        claim_mappings: writer.value("spec.claimMappings", &provider.claim_mappings).unwrap_or_default(),
        common: Common {
            deletion_policy: deletion,
            allowed_namespaces: writer
                .value("spec.allowedNamespaces", &provider.allowed_namespaces)
                .unwrap_or_default(),
            ..Common::default()
        },
    };
    Some(crd::Provider::new(&writer.own.name, spec))
}
