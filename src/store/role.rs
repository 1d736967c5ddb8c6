//! Roles that one person was given at a resource server, beside those that its policy binds.

use jiff::Timestamp;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// Who gave a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleOrigin {
    /// The resource server's default role, at the first login there.
    Default,
    Admin,
}

impl RoleOrigin {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::Admin].into_iter().find(|origin| origin.as_str() == text)
    }
}

/// A role of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    pub user_id: String,
    pub resource_server_id: String,
    /// A role of that resource server by name; means nothing while there is none of that name.
    pub role: String,
    pub origin: RoleOrigin,
    pub assigned_at: Timestamp,
}

row!(RoleRow { user_id: String, resource_server_id: String, role: String, origin: String, assigned_at: i64 });

impl RoleRow {
    fn read(self) -> Result<RoleAssignment, Error> {
        let corrupt = || Error::Corrupt { table: "role_assignment", key: self.user_id.clone() };
        Ok(RoleAssignment {
            origin: RoleOrigin::parse(&self.origin).ok_or_else(corrupt)?,
            assigned_at: stamp(self.assigned_at, corrupt)?,
            user_id: self.user_id,
            resource_server_id: self.resource_server_id,
            role: self.role,
        })
    }
}

impl Tx {
    /// The roles of a person, at one resource server or (an empty id) at all.
    pub async fn roles(&mut self, user_id: &str, resource_server_id: &str) -> Result<Vec<RoleAssignment>, Error> {
        let sql = "SELECT user_id, resource_server_id, role, origin, assigned_at FROM role_assignment
            WHERE user_id = $1 AND (resource_server_id = $2 OR $2 = '') ORDER BY resource_server_id, role";
        let rows = on!(self, c => sqlx::query_as::<_, RoleRow>(sql)
            .bind(user_id).bind(resource_server_id).fetch_all(c).await)?;
        rows.into_iter().map(RoleRow::read).collect()
    }

    /// False when this person has that role already.
    pub async fn assign_role(&mut self, assignment: &RoleAssignment) -> Result<bool, Error> {
        let sql = "INSERT INTO role_assignment (user_id, resource_server_id, role, origin, assigned_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, resource_server_id, role) DO NOTHING";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(&assignment.user_id)
            .bind(&assignment.resource_server_id)
            .bind(&assignment.role)
            .bind(assignment.origin.as_str())
            .bind(assignment.assigned_at.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// False when this person did not have that role.
    pub async fn unassign_role(&mut self, user_id: &str, resource_server_id: &str, role: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM role_assignment WHERE user_id = $1 AND resource_server_id = $2 AND role = $3";
        let touched = on!(self, c => sqlx::query(sql).bind(user_id).bind(resource_server_id).bind(role)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }
}
