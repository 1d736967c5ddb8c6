//! The command line: what can be asked, how it is answered, and with which exit code.

mod access_log;
mod adopt;
mod apikey;
mod brake;
mod config_check;
mod crds;
mod dcr;
mod drift;
mod export;
mod grant;
mod key;
mod lint;
mod migrate;
mod output;
mod plan;
mod purge;
mod serve;
mod session;
mod user;
mod version;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::{Format, Table};
use crate::app;
use crate::config::{self, Environment, Settings};
use crate::domain::{Kind, chain};
use crate::manifest::yaml;

/// A Kubernetes operator with an OAuth 2.1 authorization server inside it.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 100)]
struct Cli {
    /// The configuration file; without one the defaults stand. HOLDFAST_SECTION__KEY variables override its keys.
    #[arg(long, global = true, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    config: Option<PathBuf>,
    /// The form of the answer. Default: table on a terminal, else kv
    #[arg(long, global = true, value_enum)]
    output: Option<Format>,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server, and the operator when the configuration says so
    Serve(serve::Arguments),
    /// Bring the database to this version's schema
    Migrate,
    /// Clear away what has expired; the leader does it every purge.interval
    Purge(purge::Arguments),
    /// Say what this program is
    Version,
    /// Print the custom resource definitions
    Crds(crds::Arguments),
    /// Say what is wrong with policy files, without a cluster or a server; exit code 1 if anything is
    Lint(lint::Arguments),
    /// Ask a running server what policy files would do, were they applied now
    ///
    /// Exit codes: 0 no change, 2 changes, 1 anything else: a document that is refused or invalid, wrong usage, no
    /// answer.
    Plan(plan::Arguments),
    /// Write the policy that the database holds as custom resources, without the server
    Export(export::Arguments),
    /// Hand a row over to an object, or the database to another cluster, without the server
    Adopt(adopt::Arguments),
    /// Deletions that wait because there were too many at once
    #[command(subcommand)]
    Brake(brake::Arguments),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Calls that enforcement points say they decided about
    #[command(subcommand)]
    AccessLog(access_log::Arguments),
    /// What happened to a live policy: list it, show it, dismiss it
    #[command(subcommand)]
    Drift(drift::Arguments),
    /// Change what the database holds, without the server
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Read and validate the configuration
    Check,
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Keys of the admin port
    #[command(subcommand)]
    Apikey(apikey::Arguments),
    /// People who sign in
    #[command(subcommand)]
    User(Box<user::Arguments>),
    /// Browsers that people have signed in with
    #[command(subcommand)]
    Session(session::Arguments),
    /// What users have granted to clients
    #[command(subcommand)]
    Grant(grant::Arguments),
    /// Signing keys
    #[command(subcommand)]
    Key(key::Arguments),
    /// Dynamic registration of clients
    #[command(subcommand)]
    Dcr(dcr::Arguments),
}

/// Why a command did not end well: one line, and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    fn new(code: u8, error: &dyn std::error::Error) -> Self {
        Self { code, line: chain(error) }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::new(2, &error)
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        Self::new(error.exit_code(), &error)
    }
}

/// Parses the arguments of the process and does what they ask.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let format = if cli.json { Format::Json } else { cli.output.unwrap_or_else(Format::fitting) };
    if let Command::Plan(arguments) = &cli.command {
        return plan::run(arguments, format);
    }
    match answer(cli.config.as_deref(), cli.command) {
        Ok((table, code)) => {
            print!("{}", table.render(format));
            if let Some(note) = table.note() {
                eprintln!("holdfast: {note}");
            }
            ExitCode::from(code)
        }
        Err(failure) => {
            eprintln!("holdfast: {}", failure.line);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints help or what is wrong with the arguments. 2 says that a plan has changes, so there it is 1.
fn refuse(error: &clap::Error) -> ExitCode {
    // a closed standard error can be told nothing
    let _ = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if plan::is_asked(std::env::args().skip(1)) => ExitCode::from(1),
        code => ExitCode::from(u8::try_from(code).unwrap_or(2)),
    }
}

/// What to print, and the exit code.
fn answer(config: Option<&Path>, command: Command) -> Result<(Table, u8), Failure> {
    let environment = Environment::of_process();
    let settings = |environment: Environment| config::load(config, &environment);
    let table = match command {
        Command::Serve(arguments) => serve::run(&arguments, environment, settings).map(|()| Table::default())?,
        Command::Version => version::run(),
        Command::Crds(arguments) => crds::run(&arguments).map(|()| Table::default())?,
        Command::Migrate => migrate::run(&settings(environment)?)?,
        Command::Purge(arguments) => purge::run(&settings(environment)?, &arguments)?,
        Command::Lint(arguments) => return lint::run(&settings(environment)?, &arguments),
        Command::Export(arguments) => export::run(&settings(environment)?, &arguments).map(|()| Table::default())?,
        Command::Adopt(arguments) => adopt::run(&settings(environment)?, &arguments)?,
        // it has exit codes of its own
        Command::Plan(_) => Table::default(),
        Command::Brake(arguments) => brake::run(&settings(environment)?, &arguments)?,
        Command::Config(Config::Check) => config_check::run(&settings(environment)?),
        Command::AccessLog(arguments) => access_log::run(&settings(environment)?, &arguments)?,
        Command::Drift(arguments) => drift::run(&settings(environment)?, &arguments)?,
        Command::Admin(command) => admin(&settings(environment)?, command)?,
    };
    Ok((table, 0))
}

fn admin(settings: &Settings, command: Admin) -> Result<Table, Failure> {
    match command {
        Admin::Apikey(arguments) => apikey::run(settings, &arguments),
        Admin::User(arguments) => user::run(settings, *arguments),
        Admin::Session(arguments) => session::run(settings, &arguments),
        Admin::Grant(arguments) => grant::run(settings, &arguments),
        Admin::Key(arguments) => key::run(settings, &arguments),
        Admin::Dcr(arguments) => dcr::run(settings, &arguments),
    }
}

/// A kind as custom resources spell it.
fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| "expected ResourceServer, OAuthClient or Provider".to_owned())
}

/// What an API server takes for the name of a namespace.
fn namespace(text: &str) -> Result<String, String> {
    let expected = "expected at most 63 lower-case letters, digits and -";
    if yaml::is_namespace(text) { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

/// Runs what waits, on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T, app::Error>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::new(1, &app::Error::Runtime(source)))?;
    Ok(runtime.block_on(work)?)
}
