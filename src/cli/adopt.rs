//! `holdfast adopt`: offers rows to objects, and a database to another cluster.

use clap::ArgGroup;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::{Door, Error, database};
use crate::config::Settings;
use crate::domain::{Actor, OwnerKey};
use crate::provision;
use crate::store::Offer;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["owner", "list", "withdraw", "cluster"]))]
pub struct Arguments {
    /// Offer a row to this object, Kind/namespace/name: it may adopt the row, from an untrusted namespace, too
    #[arg(long, value_name = "OWNER", value_parser = owner, requires = "id")]
    owner: Option<OwnerKey>,
    /// The row: a client id, rs_… or prv_…
    #[arg(requires = "owner")]
    id: Option<String>,
    /// All offers that nobody has taken yet
    #[arg(long)]
    list: bool,
    /// Withdraw what is offered to this object
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    withdraw: Option<OwnerKey>,
    /// Bind the database to another cluster, by the uid of its namespace kube-system. Without a value: to the one that
    /// the configuration leads to, or to none
    #[arg(long, value_name = "UID", num_args = 0..=1, default_missing_value = "")]
    cluster: Option<String>,
    /// Do it: bind the database to another cluster
    #[arg(long, requires = "cluster", conflicts_with_all = ["owner", "list", "withdraw"])]
    yes: bool,
}

fn owner(text: &str) -> Result<OwnerKey, String> {
    text.parse::<OwnerKey>().map_err(|error| error.to_string())
}

/// What is said before a database changes hands.
const WARNING: &str = "the operator of the cluster that the database is bound to now must never write to it again, or each \
    would delete what the other made; every managed row is offered to the object of the same kind, namespace and name in \
    the new cluster. Stop that operator, then repeat with --yes";

pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    let actor = Actor::recorded("cli");
    block_on(async {
        let provisioner = database::provisioner_beside(settings).await?;
        match arguments {
            Arguments { owner: Some(owner), id: Some(id), .. } => {
                let made = provisioner.offer(owner, id, &actor).await.map_err(|error| refused(error, id))?;
                Ok(Table::one(vec![("offered", made.entity_id), ("owner", made.owner.to_string())]))
            }
            Arguments { withdraw: Some(owner), .. } => match provisioner.withdraw_offer(owner, &actor).await? {
                true => Ok(Table::one(vec![("withdrawn", owner.to_string())])),
                false => Err(Error::Refused(format!("nothing is offered to {owner}"))),
            },
            Arguments { cluster: Some(uid), yes, .. } => {
                let uid = if uid.is_empty() { Door::open(settings).await?.cluster().to_owned() } else { uid.clone() };
                if !yes {
                    return Err(Error::Refused(format!("nothing was changed: {WARNING}")));
                }
                match provisioner.move_to(&uid, &actor).await? {
                    Some(offered) => Ok(Table::one(vec![("cluster", uid), ("offered_rows", offered.to_string())])),
                    None => Err(Error::Refused(format!("the database is bound to cluster {uid} already"))),
                }
            }
            _ => {
                let row = |offer: Offer| {
                    vec![offer.owner.to_string(), offer.entity_id, offer.by.to_string(), offer.at.to_string()]
                };
                let rows = provisioner.offers().await?.into_iter().map(row).collect();
                Ok(Table::list(vec!["owner", "id", "by", "offered"], rows))
            }
        }
    })
}

fn refused(error: provision::Error, id: &str) -> Error {
    match error {
        provision::Error::Unknown(kind) => Error::Refused(format!("there is no {kind} {id}")),
        provision::Error::Owned(owner) => {
            Error::Refused(format!("{owner} owns {id}; an offer never takes a row from an owner that lives"))
        }
        provision::Error::NotOffered(text) => Error::Refused(text),
        other => other.into(),
    }
}
