//! `/admin/users…`: people who sign in. Whoever reads policy reads the list; only administrators change it.

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, Reply, body, query};
use crate::domain::user::{AuthSource, Email, is_name};
use crate::domain::{Account, AccountRole, SecretText};
use crate::identity::{self, Identity, NewAccount, Update};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

/// Accounts in one answer, unless fewer are asked for.
const PAGE: u32 = 100;

#[derive(Serialize)]
pub struct Shown {
    id: String,
    email: String,
    name: String,
    role: &'static str,
    source: &'static str,
    status: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_set_at: Option<String>,
}

impl From<Account> for Shown {
    fn from(account: Account) -> Self {
        Self {
            email: account.email.to_string(),
            role: account.role.as_str(),
            source: AuthSource::Local.as_str(),
            status: if account.disabled_at.is_some() { "disabled" } else { "active" },
            created_at: account.created_at.to_string(),
            disabled_at: account.disabled_at.map(|at| at.to_string()),
            password_set_at: account.password_set_at.map(|at| at.to_string()),
            id: account.id,
            name: account.name,
        }
    }
}

#[derive(Serialize)]
struct List {
    items: Vec<Shown>,
    /// The value of `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    email: String,
    name: String,
    #[serde(default)]
    role: Option<String>,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: String,
}

fn address(text: &str) -> Result<Email, Refused> {
    Email::parse(text).ok_or_else(|| Refused::bad("email: expected an address such as ada@example.com"))
}

fn name(text: String) -> Result<String, Refused> {
    if is_name(&text) { Ok(text) } else { Err(Refused::bad("name: expected 1 to 200 characters in one line")) }
}

fn role(text: &str) -> Result<AccountRole, Refused> {
    AccountRole::parse(text).ok_or_else(|| Refused::bad("role: expected admin, operator, viewer or user"))
}

pub async fn list(State(parts): State<Parts>, admin: Admin, RawQuery(asked): RawQuery) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::List, "");
    call.read(admin, Role::Viewer, async {
        let asked = query(asked.as_deref(), &["email", "after", "limit"])?;
        let get = |name: &str| asked.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if let Some(email) = get("email") {
            let found = parts.identity.account_by_email(&address(email)?).await?;
            return Ok(List { items: found.into_iter().map(Shown::from).collect(), next: None });
        }
        let limit = get("limit").map_or(Ok(PAGE), str::parse).ok().filter(|limit| (1..=500).contains(limit));
        let limit = limit.ok_or_else(|| Refused::bad("limit: expected 1 to 500"))?;
        let found = parts.identity.accounts(get("after").unwrap_or_default(), limit).await?;
        let more = found.len() == limit as usize;
        let next = found.last().filter(|_| more).map(|account| account.id.clone());
        Ok(List { items: found.into_iter().map(Shown::from).collect(), next })
    })
    .await
}

pub async fn get(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Get, &id);
    call.read(admin, Role::Viewer, async { Ok(found(&parts.identity, &id).await?) }).await
}

async fn found(identity: &Identity, id: &str) -> Result<Shown, identity::Error> {
    identity.account(id).await?.map(Shown::from).ok_or(identity::Error::UnknownAccount)
}

pub async fn create(State(parts): State<Parts>, admin: Admin, request: Request) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Create, "");
    call.write(admin, async |actor| {
        let asked: Create = body(request).await?;
        let role = asked.role.as_deref().map_or(Ok(AccountRole::User), role)?;
        let (email, name) = (address(&asked.email)?, name(asked.name)?);
        let new = NewAccount { email, name, role, password: SecretText::new(asked.password) };
        let made = parts.identity.create(new, &actor).await?;
        Ok(Reply::made(Shown::from(made)))
    })
    .await
}

pub async fn update(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>, request: Request) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Update, &id);
    call.write(admin, async |actor| {
        let asked: Edit = body(request).await?;
        let update = Update {
            email: asked.email.as_deref().map(address).transpose()?,
            name: asked.name.map(name).transpose()?,
            role: asked.role.as_deref().map(role).transpose()?,
        };
        Ok(Reply::ok(Shown::from(parts.identity.update(&id, update, &actor).await?)))
    })
    .await
}

pub async fn password(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>, request: Request) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Update, &id);
    call.write(admin, async |actor| {
        let asked: NewPassword = body(request).await?;
        parts.identity.reset_password(&id, &SecretText::new(asked.password), &actor).await?;
        Ok(Reply::ok(found(&parts.identity, &id).await?))
    })
    .await
}

pub async fn disable(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Update, &id);
    call.write(admin, async |actor| {
        parts.identity.disable(&id, &actor).await?;
        Ok(Reply::ok(found(&parts.identity, &id).await?))
    })
    .await
}

pub async fn enable(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Update, &id);
    call.write(admin, async |actor| {
        parts.identity.enable(&id, &actor).await?;
        Ok(Reply::ok(found(&parts.identity, &id).await?))
    })
    .await
}

pub async fn force_logout(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Update, &id);
    call.write(admin, async |actor| {
        let ended = parts.identity.force_logout(&id, &actor).await?;
        Ok(Reply::ok(json!({"sessions_ended": ended})))
    })
    .await
}

pub async fn delete(State(parts): State<Parts>, admin: Admin, Path(id): Path<String>) -> Response {
    let call = Call::new(&parts, Entity::User, Operation::Delete, &id);
    call.write(admin, async |actor| {
        parts.identity.delete(&id, &actor).await?;
        Ok(Reply::ok(json!({"deleted": id})))
    })
    .await
}
