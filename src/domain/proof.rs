//! What can be wrong with a DPoP proof.

/// Why a proof proves nothing (RFC 9449 §4.3). Which it was is told: only its sender can put it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofFault {
    /// More than one `DPoP` header.
    Several,
    /// No JWS of type `dpop+jwt`, or with claims that are missing or of the wrong type.
    Malformed,
    Algorithm,
    /// No public key in it, or one that is private, weak or of another kind.
    Key,
    Signature,
    /// `htm` is not the method of the request.
    Method,
    /// `htu` is not the URL of the request.
    Target,
    /// Too old, or of the future.
    Time,
    /// `jti` was used before.
    Replayed,
}

impl ProofFault {
    pub const ALL: [Self; 9] = [
        Self::Several,
        Self::Malformed,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Method,
        Self::Target,
        Self::Time,
        Self::Replayed,
    ];

    /// The value of the metric label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Several => "several",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Method => "method",
            Self::Target => "target",
            Self::Time => "time",
            Self::Replayed => "replayed",
        }
    }

    /// `error_description`, in the characters that RFC 6749 §5.2 allows.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Several => "send one DPoP header",
            Self::Malformed => "the DPoP proof is not a JWS of type dpop+jwt with jti, htm, htu and iat",
            Self::Algorithm => "the DPoP proof is signed by an algorithm that is not accepted",
            Self::Key => "the DPoP proof has no public key that can be used",
            Self::Signature => "the signature of the DPoP proof does not match its key",
            Self::Method => "htm of the DPoP proof is not the method of this request",
            Self::Target => "htu of the DPoP proof is not the URL of this request",
            Self::Time => "the DPoP proof is too old or of the future",
            Self::Replayed => "the DPoP proof was used before",
        }
    }
}
