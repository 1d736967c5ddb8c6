//! An authorization request (OAuth 2.1 §4.1.1) as text, as what it means, and what has to happen next.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::refusal::Refusal;
use super::user::SignedIn;

/// Longer values are nobody's, in bytes.
const MAX_ID: usize = 2048;
const MAX_URI: usize = 2048;
const MAX_SCOPE: usize = 4096;
const MAX_STATE: usize = 8192;
/// SHA-256 in base64url without padding (RFC 7636 §4.2, RFC 7638 §3).
const SHA256_LENGTH: usize = 43;

/// A scope that names no right at a resource: the wish to stay (OIDC Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The parameters as they came, decoded, in their order.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Vec<(String, String)>);

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parameters(…)")
    }
}

impl Parameters {
    pub const fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The one value of a parameter; an empty one is absent (OAuth 2.1 §3.1).
    ///
    /// # Errors
    /// When it is given twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = found.next().filter(|value| !value.is_empty());
        match found.next() {
            Some(_) => Err(Refusal::Malformed("a parameter is given more than once")),
            None => Ok(first),
        }
    }

    /// What the client wants back, when it is fit to be given back.
    pub fn state(&self) -> Option<&str> {
        self.one("state").ok().flatten().filter(|state| state.len() <= MAX_STATE)
    }

    /// Says whose request it is, where another place than the parameter has said so.
    pub fn name_client(&mut self, id: &str) {
        self.0.retain(|(name, _)| name != "client_id");
        self.0.push(("client_id".to_owned(), id.to_owned()));
    }

    fn has_duplicates(&self) -> bool {
        let twice = |(at, (name, _)): (usize, &(String, String))| {
            name != "resource" && self.0[..at].iter().any(|(other, _)| other == name)
        };
        self.0.iter().enumerate().any(twice)
    }
}

/// Who asks, and where the answer is to go: what has to be right before anything is sent anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    pub client_id: &'a str,
    pub redirect_uri: Option<&'a str>,
}

/// Reads the address.
///
/// # Errors
/// None that may be told to the client: it is not known yet where the client is.
pub fn address(parameters: &Parameters) -> Result<Address<'_>, Refusal> {
    let client_id = client_id(parameters)?;
    let redirect_uri = parameters.one("redirect_uri")?;
    if redirect_uri.is_some_and(|uri| uri.len() > MAX_URI) {
        return Err(Refusal::InvalidRedirect);
    }
    Ok(Address { client_id, redirect_uri })
}

/// Reads `client_id`, which is there also when all the rest was pushed (RFC 9126 §4).
///
/// # Errors
/// When there is none.
pub fn client_id(parameters: &Parameters) -> Result<&str, Refusal> {
    match parameters.one("client_id")? {
        Some(id) if id.len() <= MAX_ID => Ok(id),
        Some(_) => Err(Refusal::UnknownClient),
        None => Err(Refusal::Malformed("client_id is missing")),
    }
}

/// What `prompt` asks for (OIDC Core §3.1.2.1); other words are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Ask the user nothing.
    pub none: bool,
    /// Let the user sign in again.
    pub login: bool,
    /// Ask for consent again.
    pub consent: bool,
}

/// What a client wants, valid in itself; whether it may have it is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of S256, the only method there is (RFC 7636 §4.3).
    pub code_challenge: String,
    /// Space-separated, without `offline_access`; `None` = the default.
    pub scope: Option<String>,
    /// RFC 8707 §2.
    pub resources: Vec<String>,
    pub prompt: Prompt,
    /// Seconds since the user typed the password.
    pub max_age: Option<u32>,
    /// Thumbprint of the key that the code is bound to (RFC 9449 §10).
    pub dpop_jkt: Option<String>,
}

/// Reads the request.
///
/// # Errors
/// What the client is told, if it may be told anything.
pub fn request(parameters: &Parameters) -> Result<Request, Refusal> {
    if parameters.has_duplicates() {
        return Err(Refusal::Malformed("a parameter is given more than once"));
    }
    let get = |name| parameters.one(name);
    if get("request")?.is_some() {
        let both = get("request_uri")?.is_some();
        let twice = Refusal::Malformed("request and request_uri exclude each other");
        return Err(if both { twice } else { Refusal::RequestNotSupported });
    }
    match get("response_type")? {
        Some("code") => {}
        Some(_) => return Err(Refusal::UnsupportedResponseType),
        None => return Err(Refusal::Malformed("response_type is missing")),
    }
    if get("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(Refusal::Malformed("response_mode must be query"));
    }
    if get("authorization_details")?.is_some() {
        return Err(Refusal::UnsupportedDetails);
    }
    if get("state")?.is_some_and(|state| state.len() > MAX_STATE) {
        return Err(Refusal::Malformed("state is too long"));
    }
    Ok(Request {
        code_challenge: code_challenge(parameters)?,
        scope: scope(get("scope")?)?,
        resources: resources(parameters)?,
        prompt: prompt(get("prompt")?)?,
        max_age: max_age(get("max_age")?)?,
        dpop_jkt: match get("dpop_jkt")? {
            Some(jkt) if !is_sha256(jkt) => return Err(Refusal::Malformed("dpop_jkt must be a SHA-256 thumbprint")),
            jkt => jkt.map(str::to_owned),
        },
    })
}

fn code_challenge(parameters: &Parameters) -> Result<String, Refusal> {
    let Some(challenge) = parameters.one("code_challenge")? else {
        return Err(Refusal::Malformed("code_challenge is missing"));
    };
    if parameters.one("code_challenge_method")? != Some("S256") {
        return Err(Refusal::Malformed("code_challenge_method must be S256"));
    }
    if !is_sha256(challenge) {
        return Err(Refusal::Malformed("code_challenge must be 43 characters of base64url"));
    }
    Ok(challenge.to_owned())
}

fn is_sha256(text: &str) -> bool {
    text.len() == SHA256_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// `scope-token` of OAuth 2.1 §1.4.1.
fn scope(text: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let allowed = |b: u8| matches!(b, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.len() > MAX_SCOPE || !text.bytes().all(allowed) {
        return Err(Refusal::InvalidScope);
    }
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty() && *word != OFFLINE_ACCESS).collect();
    Ok((!words.is_empty()).then(|| words.join(" ")))
}

fn resources(parameters: &Parameters) -> Result<Vec<String>, Refusal> {
    let named = parameters.0.iter().filter(|(name, value)| name == "resource" && !value.is_empty());
    let mut resources: Vec<String> = named.map(|(_, value)| value.clone()).collect();
    resources.dedup();
    let is_uri = |text: &String| {
        text.len() <= MAX_URI && Url::parse(text).is_ok_and(|url| url.fragment().is_none() && url.has_host())
    };
    if resources.len() > 1 || !resources.iter().all(is_uri) {
        // one audience a token (protocol D-01)
        return Err(Refusal::InvalidTarget);
    }
    Ok(resources)
}

fn prompt(text: Option<&str>) -> Result<Prompt, Refusal> {
    let words: Vec<&str> = text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    if has("none") && words.len() > 1 {
        return Err(Refusal::Malformed("prompt none excludes every other"));
    }
    // who may choose an account must be able to type its name
    Ok(Prompt { none: has("none"), login: has("login") || has("select_account"), consent: has("consent") })
}

fn max_age(text: Option<&str>) -> Result<Option<u32>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    seconds.map(Some).ok_or(Refusal::Malformed("max_age must be a number of seconds"))
}

/// What is known about the user's consent to exactly this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Client and resource server both say that nobody needs to be asked.
    Implicit,
    /// Given, to the same as would be shown now, and to a client that nobody else can pretend to be.
    Given,
    Missing,
}

/// What happens next with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    SignIn,
    AskConsent,
    Issue,
    Refuse(Refusal),
}

impl Request {
    /// Whether this sign-in is fresh enough for the request, which began then. Who was signed in before is not,
    /// when `prompt=login` asks for a new one, and does not become so by going back (CVE-2023-6787).
    pub fn is_fresh(&self, signed_in: &SignedIn, began: Timestamp, now: Timestamp) -> bool {
        let at = signed_in.authenticated_at;
        let young = |max_age: u32| now.duration_since(at).as_secs() <= i64::from(max_age);
        at >= began || (!self.prompt.login && self.max_age.is_none_or(young))
    }

    /// What happens before anything is known of consent; `None` = the user is there.
    pub fn sign_in(&self, signed_in: Option<&SignedIn>, began: Timestamp, now: Timestamp) -> Option<Step> {
        match signed_in {
            Some(signed_in) if self.is_fresh(signed_in, began, now) => None,
            _ if self.prompt.none => Some(Step::Refuse(Refusal::LoginRequired)),
            _ => Some(Step::SignIn),
        }
    }

    /// What happens once the user is there.
    pub const fn consent(&self, consent: Consent) -> Step {
        match consent {
            Consent::Implicit | Consent::Given if !self.prompt.consent => Step::Issue,
            _ if self.prompt.none => Step::Refuse(Refusal::ConsentRequired),
            _ => Step::AskConsent,
        }
    }
}

#[cfg(test)]
mod tests;
