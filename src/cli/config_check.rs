//! `holdfast config check`.

use super::output::Table;
use crate::config::{MasterKeyPlace, Settings};

/// What the configuration comes to, without anything secret.
pub fn run(settings: &Settings) -> Table {
    let config = &settings.config;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let source = match (&config.policy_dir, config.operator.enabled) {
        (Some(dir), _) => format!("directory {}", dir.display()),
        (None, true) => "cluster".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let master_key = match &settings.master_key {
        MasterKeyPlace::File(path) => format!("file {}", path.display()),
        MasterKeyPlace::Secret(name) => format!("Secret {name}"),
    };
    Table::one(vec![
        ("configuration", "valid".to_owned()),
        ("installation", config.installation.clone()),
        ("issuer", settings.issuer.clone()),
        ("database", settings.database_url.engine().to_owned()),
        ("master_key", master_key),
        ("policy", source),
        ("public", config.server.public.listen.to_string()),
        ("admin", config.server.admin.listen.to_string()),
        ("metrics", or_none(config.server.metrics.listen.map(|address| address.to_string()))),
    ])
}
