//! `holdfast serve`: the parts in the order in which they need each other, and their end in the opposite one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use super::door::Door;
use super::running::Running;
use super::system::{SystemClock, SystemEntropy};
use super::{Error, database, door, dynamic, jobs, keys, limits, logging, people};
use crate::activity::{self, Activity};
use crate::config::par::Par;
use crate::config::{self, Settings};
use crate::domain::{Clock, Entropy, Observer};
use crate::http::{self, Health, MetricsPage, admin, public};
use crate::metrics::Metrics;
use crate::oauth::{self, AuthorizationServer, PushedRules};
use crate::provision::{self, Provisioner};

/// Serves until SIGTERM or SIGINT, then drains.
pub async fn serve(settings: Settings) -> Result<(), Error> {
    let started = Instant::now();
    logging::start(&settings.config.logging);
    let metrics = Metrics::new()?;
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("HOLDFAST_COMMIT"));
    let database = settings.database_url.engine();
    tracing::info!(event = "starting", version, commit, issuer = settings.issuer, database);
    let door = Door::open(&settings).await?;
    let store = database::to_serve(&settings, door.cluster(), Arc::clone(&metrics) as Arc<dyn Observer>).await?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let sealer = keys::sealer(&store, &*door.key_home(&settings)?, Arc::clone(&entropy)).await?;
    store.refresh().await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let server = AuthorizationServer::new(oauth::Parts {
        store: store.clone(),
        sealer,
        keys: keys::settings(&settings)?,
        issuer: settings.issuer.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        failures_per_minute: settings.config.rate_limits.failed_authentications_per_minute,
        limits: limits::of_clients(&settings),
        max_waiting: settings.config.tokens.max_waiting,
        dpop: dpop(&settings.config.dpop),
        device: device(&settings.config.device),
        max_exchanges: settings.config.exchange.max_depth,
        refresh_grace: settings.config.tokens.refresh_grace,
        pushed_requests: pushed_requests(&settings.config.par),
        dynamic: dynamic::parts(&settings, &door, Arc::clone(&metrics) as Arc<dyn Observer>)?,
        reviewer: door.reviewer(),
    })
    .await?;

    let identity = people::room(&settings, &store, Arc::clone(&metrics) as Arc<dyn Observer>)?;
    let (lead, leadership) = watch::channel(None);
    let provisioner = Provisioner::new(provision::Parts {
        store: store.clone(),
        clock: Arc::clone(&clock),
        entropy,
        observer: Arc::clone(&metrics) as Arc<dyn Observer>,
        leadership: leadership.clone(),
        actor: door.actor(),
        brake: settings.config.operator.brake.limits(),
    });
    let activity = Activity::new(activity::Parts {
        store: store.clone(),
        clock: Arc::clone(&clock),
        observer: Arc::clone(&metrics) as Arc<dyn Observer>,
        issuer: settings.issuer.clone(),
        rules: enforcement(&settings.config),
    });
    metrics.most_resource_servers(settings.config.metrics.max_resource_servers);
    metrics.most_tools(settings.config.metrics.per_tool);
    let followed = server.clone();
    let operator = door.leads().then(|| (leadership.clone(), door.board()));
    let health = Health::new(server.clone(), Arc::clone(&metrics), operator);
    let hangup = Arc::new(Notify::new());
    let mut running = Running::new(health.clone(), Arc::clone(&hangup))?;
    let parties = (&server, &provisioner, &store, &activity, &metrics, &clock);
    jobs::begin(&settings, parties, (leadership, hangup), &mut running);
    let parts = door::Parts {
        settings: &settings,
        provisioner: provisioner.clone(),
        store: store.clone(),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        enforcement: Arc::new(activity.clone()),
        lead,
    };
    let page = MetricsPage {
        path: settings.config.metrics.enabled.then(|| settings.config.metrics.path.clone()),
        metrics: Arc::clone(&metrics),
    };
    let admin = admin::Parts {
        server: server.clone(),
        provisioner,
        policy: Arc::new(door::policy(&settings, door.namespace())),
        identity: identity.clone(),
        activity: activity.clone(),
        board: door.board(),
        metrics: page.clone(),
        health: health.clone(),
        sources: limits::of_admins(&settings)?,
    };
    let listeners = &settings.config.server;
    let public = public::Parts {
        server,
        identity: identity.clone(),
        activity: activity.clone(),
        metrics,
        health: health.clone(),
        sources: limits::of_sources(&settings)?,
    };
    listen("public listener", listeners.public.listen, public::router(public)?, &mut running).await?;
    listen("admin listener", listeners.admin.listen, admin::router(admin)?, &mut running).await?;
    if let Some(address) = listeners.metrics.listen {
        listen("metrics listener", address, http::metrics_router(&page), &mut running).await?;
    }
    let (closed, followed_too) = (activity.clone(), activity.clone());
    // requests that wait would hold up the end of the listeners
    running.listener("waiting requests", |stop| async move {
        stop.cancelled().await;
        closed.close();
        Ok(())
    });
    running.background("enforcement points", |stop| async move { followed_too.follow(stop).await });
    running.background("change feed", |stop| async move { store.follow(stop).await });
    running.background("login sessions", |stop| people::sweep(identity, stop));
    running.background("settings", |stop| async move { followed.follow_settings(stop).await });
    running.background("health", |stop| async move { health.follow(stop).await });
    door.enter(parts, &mut running).await?;
    running.until_ended(settings.config.server.shutdown_wait, started).await
}

fn pushed_requests(par: &Par) -> PushedRules {
    PushedRules {
        required: par.required,
        required_of: par.required_clients.clone(),
        lifetime: SignedDuration::from_secs(par.lifetime_seconds),
    }
}

fn enforcement(config: &config::Config) -> activity::Rules {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    activity::Rules {
        ttl_seconds: seconds(config.enforcement.ttl),
        not_ready_ttl_seconds: seconds(config.enforcement.not_ready_ttl),
        access_log_retention: SignedDuration::try_from(config.access_log.retention).unwrap_or(SignedDuration::MAX),
    }
}

fn dpop(config: &config::dpop::Dpop) -> oauth::DpopOptions {
    oauth::DpopOptions {
        nonce_required: config.nonce == config::dpop::Nonce::Required,
        window: SignedDuration::try_from(config.proof_window).unwrap_or_default(),
    }
}

fn device(config: &config::device::Device) -> oauth::DeviceOptions {
    oauth::DeviceOptions {
        lifetime: SignedDuration::try_from(config.code_lifetime).unwrap_or_default(),
        interval: i64::try_from(config.poll_interval.as_secs()).unwrap_or(i64::MAX),
    }
}

async fn listen(name: &'static str, address: SocketAddr, router: Router, running: &mut Running) -> Result<(), Error> {
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { name, address, source })?;
    let address = listener.local_addr().map_err(Error::Runtime)?;
    tracing::info!(event = "listening", listener = name, %address);
    running.listener(name, |stop| http::serve(listener, router, stop));
    Ok(())
}
