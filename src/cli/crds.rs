//! `holdfast crds`: the custom resource definitions, on standard output or as files.

use std::path::PathBuf;

use super::Failure;
use crate::app::Error;
use crate::crd;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write one file for each definition into this folder instead
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

/// Prints or writes the definitions that this version understands.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    for definition in crd::all().map_err(Error::Crd)? {
        let yaml = crd::yaml(&definition).map_err(Error::Crd)?;
        match &arguments.output_dir {
            None => println!("---\n{}", yaml.trim_end()),
            Some(dir) => {
                let path = dir.join(crd::file_name(&definition));
                let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, yaml));
                written.map_err(|source| Error::Write { path, source })?;
            }
        }
    }
    Ok(())
}
