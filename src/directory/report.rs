//! The outbox as log lines: each report is told once, and marked when it was.

use crate::domain::Report;
use crate::provision::{Error, Provisioner};

/// So many reports are told at a time.
const BATCH: i64 = 100;

/// Tells what was not told yet. A crash between line and mark tells it twice, never not at all.
pub async fn tell(provisioner: &Provisioner) -> Result<(), Error> {
    loop {
        let reports = provisioner.reports(BATCH).await?;
        if reports.is_empty() {
            return Ok(());
        }
        reports.iter().for_each(line);
        let ids: Vec<i64> = reports.iter().map(|report| report.id).collect();
        provisioner.reported(&ids).await?;
    }
}

fn line(report: &Report) {
    let event = snake_case(report.reason.as_str());
    let (kind, namespace, name) = (report.owner.kind, &report.owner.namespace, &report.owner.name);
    let (field, note, at) = (report.field_path.as_str(), report.note.as_str(), report.at);
    if report.reason.severity() == "Warning" {
        tracing::warn!(event, %kind, namespace, name, field, note, %at);
    } else {
        tracing::info!(event, %kind, namespace, name, field, note, %at);
    }
}

/// `DriftDetected` → `drift_detected`.
fn snake_case(reason: &str) -> String {
    let mut out = String::new();
    for (index, c) in reason.char_indices() {
        if c.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn reasons_become_event_names() {
        assert_eq!(super::snake_case("DriftDetected"), "drift_detected");
    }
}
