//! Drift that the database refuses to have put right: it stands, is told once, and is tried again.

use super::situation::{self, Situation};
use super::tell;
use super::work::{Work, work};
use super::{Error, Provisioner, note};
use crate::domain::diff::Plan;
use crate::domain::drift::OpenDrift;
use crate::domain::{Actor, Desired, Reason};
use crate::store;

/// Whether the database said no, and did not merely not answer.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Store(store::Error::Query(_)))
}

impl Provisioner {
    /// Remembers that drift stands, if it is drift that was to be put right. A failure to remember is no reason to say
    /// less.
    pub(super) async fn uncorrected(&self, desired: &Desired, refusal: Error) -> Error {
        let found = match self.found(desired).await {
            Ok(found) => found.filter(|(_, work)| !work.plan.corrected.is_empty()),
            Err(error) => {
                tracing::warn!(event = "database_error", owner = %desired.owner.key, %error, "drift could not be looked at");
                None
            }
        };
        let Some((situation, work)) = found else { return refusal };
        let (kind, observer) = (desired.spec.kind(), &self.0.parts.observer);
        for field in &work.plan.corrected {
            observer.drift_corrected(kind, field.class, false);
        }
        let drift = self.standing(&situation, &work.plan);
        if !work.plan.news.is_empty()
            && let Err(error) = self.remember_refusal(desired, (&situation, &work.plan), &drift).await
        {
            tracing::warn!(event = "database_error", owner = %desired.owner.key, %error, "drift could not be remembered");
        }
        Error::Uncorrected { drift: Box::new(drift), source: Box::new(refusal) }
    }

    /// What there is, and what was to be done about it.
    async fn found(&self, desired: &Desired) -> Result<Option<(Situation, Work)>, Error> {
        let mut tx = self.store().read().await?;
        let situation = situation::load(&mut tx, desired, &self.store().snapshot()).await?;
        if matches!(situation.claim, situation::Claim::Refused(_)) {
            return Ok(None);
        }
        let work = work(desired, &situation, self.now());
        Ok(Some((situation, work)))
    }

    fn standing(&self, situation: &Situation, plan: &Plan) -> OpenDrift {
        let before = situation.managed.as_ref().and_then(|managed| managed.drift.as_ref());
        OpenDrift {
            fields: plan.corrected.iter().chain(&plan.kept).cloned().collect(),
            since: before.map_or_else(|| self.now(), |drift| drift.since),
            actor: match (plan.news.first(), before) {
                (Some(field), _) => tell::actor(&situation.traces, field),
                (None, Some(drift)) => drift.actor.clone(),
                (None, None) => Actor::unknown(),
            },
        }
    }

    async fn remember_refusal(
        &self,
        desired: &Desired,
        (situation, plan): (&Situation, &Plan),
        drift: &OpenDrift,
    ) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.write().await?;
        for field in &plan.news {
            let text = note::detected(field, &tell::actor(&situation.traces, field));
            let report = note::report(desired, Reason::DriftDetected, &note::field_path(&field.path), text, now);
            tx.add_report(&report).await?;
        }
        let paths: Vec<&str> = drift.fields.iter().map(|field| field.path.as_str()).collect();
        let text = format!("the database refuses to have {} put back; this is tried again", paths.join(", "));
        tx.add_report(&note::report(desired, Reason::DriftCorrectionFailed, "", text, now)).await?;
        if let Some(mut managed) = situation.managed.clone() {
            managed.drift = Some(drift.clone());
            tx.put_managed(&managed).await?;
        }
        tx.commit().await?;
        let news = Plan { news: plan.news.clone(), ..Plan::default() };
        self.observe(desired, &situation.traces, &news, now);
        Ok(())
    }
}
