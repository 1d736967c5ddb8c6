//! The brake as the folder sees it: a file that came back waits for nothing any more, and what is held is counted.

use crate::domain::Actor;
use crate::provision::Error;

use super::Directory;

impl Directory {
    /// Looks at what waits. What was confirmed goes with the next complete look that does not find it.
    pub(super) async fn follow_brake(&mut self) -> Result<(), Error> {
        let provisioner = &self.parts.provisioner;
        if let Some(id) = &self.parts.confirm {
            provisioner.confirm_brake(id, &Actor::recorded("configuration")).await?;
            self.parts.confirm = None;
        }
        self.parts.metrics.brakes(&provisioner.brakes().await?);
        for hold in provisioner.holds().await? {
            if self.world.objects.contains_key(&hold.owner) {
                provisioner.withdraw_deletion(&hold.owner).await?;
            }
        }
        Ok(())
    }
}
