//! Getting a document and judging it (draft-02 §4 to §6, and what MCP demands beyond it).

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::Value;
use tokio::time::sleep;

use super::{AuthorizationServer, id};
use crate::domain::observer::FetchOutcome;
use crate::domain::redirect::{self, Place};
use crate::domain::refusal::Refusal;
use crate::oauth::client_metadata::{Fault, Kind, Metadata};
use crate::oauth::error::Error;
use crate::oauth::json as strict;
use crate::outbound::{self, Ask, Fetched, Trust};

/// The largest document that is read, in bytes (§8.7).
const MAX_DOCUMENT: usize = 5 * 1024;
/// A failure is told only after a multiple of this: its time says nothing of what was met on the way (CI-20, R-44).
const EVEN: Duration = Duration::from_secs(1);

/// Why a document makes no client. For the log.
#[derive(Debug, thiserror::Error)]
enum NoDocument {
    #[error(transparent)]
    Fetch(#[from] outbound::Error),
    #[error("not one JSON object in UTF-8, or of another content type")]
    Form,
    #[error("its client_id is not its URL")]
    OtherId,
    #[error(transparent)]
    Metadata(#[from] Fault),
    #[error("a redirect URI is on another host")]
    OtherHost,
}

fn refused(id: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(event = "client_document_refused", client_id = id, error);
}

impl AuthorizationServer {
    /// What the document says, and for how long.
    pub(super) async fn fetch_document(&self, id: &str) -> Result<(Metadata, SignedDuration), Error> {
        let began = Instant::now();
        let ask = Ask { url: id, trust: Trust::Stranger, accept: "application/json", limit: MAX_DOCUMENT };
        let judged = match self.inner.dynamic.outbound.get(&ask).await {
            Ok(fetched) => self.judge(id, &fetched).map(|metadata| (metadata, self.freshness(&fetched))),
            Err(error) => Err(error.into()),
        };
        let outcome = match &judged {
            Ok(_) => FetchOutcome::Success,
            Err(NoDocument::Fetch(outbound::Error::Forbidden)) => FetchOutcome::Denied,
            Err(NoDocument::Fetch(_)) => FetchOutcome::Error,
            Err(_) => FetchOutcome::Invalid,
        };
        self.inner.dynamic.observer.document_fetched(outcome, began.elapsed());
        match judged {
            Ok(judged) => Ok(judged),
            Err(error) => {
                refused(id, &error);
                let periods = u32::try_from(began.elapsed().as_secs()).unwrap_or(0) + 1;
                sleep((EVEN * periods).saturating_sub(began.elapsed())).await;
                Err(Error::of(Refusal::UnknownClient, id))
            }
        }
    }

    fn judge(&self, id: &str, fetched: &Fetched) -> Result<Metadata, NoDocument> {
        let media = fetched.content_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        let is_json = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
        let object = strict::object(&fetched.body).filter(|_| is_json).ok_or(NoDocument::Form)?;
        if object.get("client_id").and_then(Value::as_str) != Some(id) {
            return Err(NoDocument::OtherId);
        }
        let options = &self.inner.dynamic.documents.options;
        let metadata = Metadata::read(Kind::Document, object, &options.redirects)?;
        let own = |uri: &String| {
            redirect::place(uri) != Ok(Place::Https)
                || id::host(id).is_some_and(|host| host.eq_ignore_ascii_case(redirect::shown(uri)))
        };
        if options.same_host && !metadata.redirect_uris.iter().all(own) {
            return Err(NoDocument::OtherHost);
        }
        Ok(metadata)
    }

    /// As the document says, within what configuration allows (CI-13).
    fn freshness(&self, fetched: &Fetched) -> SignedDuration {
        let (least, most) = self.inner.dynamic.documents.options.fresh;
        let directives = fetched.cache_control.as_deref().unwrap_or_default().to_ascii_lowercase();
        let mut directives = directives.split(',').map(str::trim);
        let age = directives.find_map(|directive| match directive {
            "no-store" | "no-cache" => Some(0),
            other => other.strip_prefix("max-age=").map(|age| age.trim_matches('"').parse().unwrap_or(0)),
        });
        age.map_or(least, SignedDuration::from_secs).clamp(least, most)
    }
}
