//! `holdfast plan`: asks a running server what policy files would do, were they applied now.
//!
//! The exit codes are for pipelines: 0 no change, 2 changes, 1 everything else, usage errors included.

mod ask;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::lint::files;
use super::output::Format;
use super::{Failure, block_on};
use crate::app::Error;

/// The largest stream of documents that the server reads, in bytes.
const MAX_DOCUMENTS: usize = 4 << 20;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file, a folder, or - for standard input; may be given more than once. Kinds of other API groups are passed over
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// The namespace of documents that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Also say what would be deleted in these namespaces because no document is about it
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    prune: Vec<String>,
    #[command(flatten)]
    server: ask::Server,
}

/// Whether arguments, whatever else is wrong with them, are those of this command.
pub fn is_asked(arguments: impl Iterator<Item = String>) -> bool {
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--config" | "--output" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            command => return command == "plan",
        }
    }
    false
}

/// Prints the plan and says by the exit code whether anything would change.
pub fn run(arguments: &Arguments, format: Format) -> ExitCode {
    match plan(arguments) {
        Ok(answer) => {
            match format {
                Format::Json => println!("{answer:#}"),
                Format::Table | Format::Kv => print!("{}", text::render(&answer)),
            }
            ExitCode::from(code(&answer))
        }
        Err(failure) => {
            eprintln!("holdfast: {}", failure.line);
            ExitCode::from(1)
        }
    }
}

/// The server's answer, in which each object names the file that it stands in.
fn plan(arguments: &Arguments) -> Result<Value, Failure> {
    let (documents, starts) = stream(arguments)?;
    if documents.len() > MAX_DOCUMENTS {
        let error = Error::Refused("the documents are larger than 4 MiB together; plan fewer at a time".to_owned());
        return Err(error.into());
    }
    let mut answer = block_on(ask::plan(&arguments.server, (&arguments.namespace, &arguments.prune), documents))?;
    for object in answer["objects"].as_array_mut().into_iter().flatten() {
        let line = object["line"].as_u64().and_then(|line| usize::try_from(line).ok());
        let Some(line) = line else { continue };
        // a document begins with the line that parts it from the one before, of whichever file
        if let Some((start, file)) = starts.iter().rev().find(|(start, _)| *start <= line) {
            object["file"] = file.as_str().into();
            object["line"] = (line - start).max(1).into();
        }
    }
    Ok(answer)
}

/// All documents in one stream, and after how many of its lines each file begins.
fn stream(arguments: &Arguments) -> Result<(String, Vec<(usize, String)>), Failure> {
    let (mut all, mut lines, mut starts) = (String::new(), 0, Vec::new());
    for path in &arguments.filename {
        for (path, text) in files(path)? {
            starts.push((lines, path.display().to_string()));
            all.push_str(&text);
            if !text.is_empty() && !text.ends_with('\n') {
                all.push('\n');
            }
            all.push_str("---\n");
            lines += text.lines().count() + 1;
        }
    }
    Ok((all, starts))
}

fn code(answer: &Value) -> u8 {
    let any = |actions: &[&str]| actions.iter().any(|action| answer["summary"][action].as_u64().unwrap_or(0) > 0);
    match () {
        () if any(&["invalid", "refused"]) => 1,
        () if any(&["create", "update", "adopt", "delete", "release"]) => 2,
        () => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(&["plan"], true)]
    #[case(&["--config", "x", "--json", "plan", "--frob"], true)]
    #[case(&["--config=x", "lint", "plan"], false)]
    #[case(&["--output", "plan"], false)]
    #[case(&[], false)]
    fn a_plan_is_known_by_its_command(#[case] arguments: &[&str], #[case] expected: bool) {
        assert_eq!(is_asked(arguments.iter().map(|text| (*text).to_owned())), expected);
    }

    #[rstest]
    #[case(json!({}), 0)]
    #[case(json!({"unchanged": 3}), 0)]
    #[case(json!({"unchanged": 3, "delete": 1}), 2)]
    #[case(json!({"create": 3, "refused": 1}), 1)]
    fn the_exit_code_is_the_gravest(#[case] summary: Value, #[case] expected: u8) {
        assert_eq!(code(&json!({ "summary": summary })), expected);
    }
}
