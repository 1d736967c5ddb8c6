//! What is remembered of objects, for a door that has no API server to remember them.

use super::{Error, Provisioner};
use crate::domain::Managed;

impl Provisioner {
    /// Every object that was applied and not removed since.
    pub async fn remembered(&self) -> Result<Vec<Managed>, Error> {
        let all = self.store().read().await?.all_managed().await?;
        Ok(all.into_iter().filter(|managed| managed.deleted_at.is_none()).collect())
    }
}
