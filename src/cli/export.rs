//! `holdfast export`: the policy in the database as custom resources, beside a server that may be running.

use std::path::PathBuf;

use super::{Failure, block_on};
use crate::app::{self, Error, database};
use crate::config::Settings;
use crate::domain::{Actor, Kind};
use crate::manifest::export::{Exported, Wanted, export};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only rows of this kind: ResourceServer, OAuthClient or Provider
    #[arg(long, value_parser = super::kind)]
    kind: Option<Kind>,
    /// The namespace of documents for rows that nobody owns; owned rows keep theirs
    #[arg(short, long, default_value = "default", value_parser = super::namespace)]
    namespace: String,
    /// Only the row of this id
    #[arg(long)]
    id: Option<String>,
    /// Only rows that nobody owns
    #[arg(long)]
    unowned: bool,
    /// Write one file for each row into this folder, which is made. Default: all to standard output
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
}

/// Prints or writes the documents; no secret and no hash is among what they say.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let wanted = Wanted {
        namespace: arguments.namespace.clone(),
        kind: arguments.kind,
        id: arguments.id.clone(),
        unowned: arguments.unowned,
    };
    let exported = block_on(async {
        let provisioner = database::provisioner_beside(settings).await?;
        let exported = export(&provisioner.rows().await?, &wanted, &app::policy(settings, None));
        if exported.is_empty() && wanted.id.is_some() {
            return Err(Error::Refused("there is no such row".to_owned()));
        }
        provisioner.record_export(exported.len(), &Actor::recorded("cli")).await?;
        Ok(exported)
    })?;
    if exported.is_empty() {
        eprintln!("holdfast: there is nothing to export");
    }
    match &arguments.output_dir {
        None => print!("{}", exported.iter().map(Exported::text).collect::<String>()),
        Some(folder) => {
            let failed = |path: &PathBuf| {
                let path = path.clone();
                move |source| Error::Write { path, source }
            };
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
            for document in &exported {
                let path = folder.join(document.file_name());
                std::fs::write(&path, document.text()).map_err(failed(&path))?;
                println!("{}", path.display());
            }
        }
    }
    Ok(())
}
