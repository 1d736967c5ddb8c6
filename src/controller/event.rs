//! One report becomes one Event (events.k8s.io/v1), under a name that makes telling it twice harmless.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::crd::API_VERSION;
use crate::domain::{Report, SecretText};

use super::error::{Error, is_conflict, is_forbidden, is_invalid, is_not_found, kube_error};
use super::secret::FIELD_MANAGER;

/// Names that are tried when another Event has the first.
const SUFFIXES: [&str; 4] = ["", "-1", "-2", "-3"];

/// Publishes it; `false` when the namespace takes no Events any more, and the condition carries the story alone.
pub(super) async fn publish(client: &Client, report: &Report, instance: &str) -> Result<bool, Error> {
    let api: Api<Event> = Api::namespaced(client.clone(), &report.owner.namespace);
    for suffix in SUFFIXES {
        let event = event(report, instance, suffix);
        let name = event.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => return Ok(true),
            Err(error) if is_conflict(&error) => {
                let present = api.get_opt(&name).await.map_err(kube_error("read an Event"))?;
                if present.is_some_and(|present| is_same(&present, &event)) {
                    return Ok(true);
                }
            }
            // a namespace that is being deleted, or is gone; or a note that no Event can hold
            Err(error) if is_forbidden(&error) || is_not_found(&error) || is_invalid(&error) => return Ok(false),
            Err(error) => return Err(kube_error("publish an Event")(error)),
        }
    }
    Ok(false)
}

fn is_same(present: &Event, event: &Event) -> bool {
    let uid = |event: &Event| event.regarding.as_ref().and_then(|regarding| regarding.uid.clone());
    uid(present) == uid(event) && present.note == event.note
}

fn event(report: &Report, instance: &str, suffix: &str) -> Event {
    let (owner, id) = (&report.owner, report.id);
    let name = format!("{}.{}-{}-{id}{suffix}", owner.name, owner.kind.short(), incarnation(report));
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(owner.namespace.clone()), ..ObjectMeta::default() },
        event_time: Some(MicroTime(report.at)),
        type_: Some(report.reason.severity().to_owned()),
        reason: Some(report.reason.as_str().to_owned()),
        action: Some("Reconcile".to_owned()),
        note: Some(report.note.clone()),
        regarding: Some(ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(owner.kind.as_str().to_owned()),
            namespace: Some(owner.namespace.clone()),
            name: Some(owner.name.clone()),
            uid: Some(report.object_uid.clone()),
            field_path: Some(report.field_path.clone()).filter(|path| !path.is_empty()),
            resource_version: None,
        }),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// Tells a report from the one that had the same number in a database since restored or replaced.
fn incarnation(report: &Report) -> String {
    let told = format!("{} {} {}", report.object_uid, report.at.as_microsecond(), report.note);
    SecretText::new(told).hash().as_bytes()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Kind, OwnerKey, Reason};

    #[test]
    fn an_event_names_its_object_its_field_and_its_change() {
        let report = Report {
            id: 17,
            owner: OwnerKey::new(Kind::OAuthClient, "web", "portal"),
            object_uid: "6b0c".into(),
            reason: Reason::DriftDetected,
            field_path: "spec.redirectURIs".into(),
            note: "spec.redirectURIs was changed by sql:alice".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let first = event(&report, "pod-0", "");
        let name = first.metadata.name.clone().unwrap();
        assert!(name.starts_with("portal.oac-") && name.ends_with("-17"), "{name}");
        assert_eq!(event(&report, "pod-1", "").metadata.name, Some(name.clone()), "told twice, it is one Event");
        assert_ne!(event(&Report { note: "another".into(), ..report.clone() }, "pod-0", "").metadata.name, Some(name));
        assert_eq!(first.type_.as_deref(), Some("Warning"));
        assert_eq!(first.regarding.unwrap().field_path.as_deref(), Some("spec.redirectURIs"));
    }
}
