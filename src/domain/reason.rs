//! The closed set of Event reasons; a condition's reason is spelled the same where it is the same fact.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($( $severity:ident: $($name:ident)* ; )*) => {
        /// Why an Event was written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($($name,)*)* }

        impl Reason {
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            /// The Event's type: `Normal` or `Warning`.
            pub const fn severity(self) -> &'static str {
                match self { $($(Self::$name => stringify!($severity),)*)* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }
        }
    };
}

reasons! {
    Normal: Created Updated Deleted Retained Adopted Launched RefsResolved SecretGenerated SecretRotated SecretRetired
        DriftCorrected DriftCleared ProviderReachable Suspended Resumed;
    Warning: NotPermitted OrphanFound EventsSummarized DriftDetected DriftCorrectionFailed AdoptionRefused
        OwnershipConflict RefNotFound RefNotPermitted InvalidSpec ActivationBlocked SecretInvalid SecretConflict
        RotationOverdue DeletionBlocked MassChangeBrake ProviderUnreachable ScopeDeleted ToolUnmapped
        DefaultRoleDisabled DefaultRoleChanged;
}
