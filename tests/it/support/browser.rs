//! A browser in a few lines: cookies, redirects on its own site, forms with what is hidden in them. No script, no CSS.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};

/// Keeps the cookies of one site and follows redirects there; one to elsewhere is where it stops.
pub struct Browser {
    pub http: reqwest::Client,
    /// `http://127.0.0.1:port`
    site: String,
    cookies: Mutex<BTreeMap<String, String>>,
    /// What it calls itself.
    pub agent: String,
}

/// What the browser shows, or where it was sent.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    /// Path and query that it came from.
    pub path: String,
    pub headers: HeaderMap,
    pub html: String,
}

/// A form of a page.
#[derive(Debug, Clone)]
pub struct Form {
    pub action: String,
    /// Hidden fields and fields that are filled in already.
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// A new one, without cookies. `site` is where the server listens, whatever it calls itself.
    pub fn at(site: &str) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned();
        Self { http, site: site.trim_end_matches('/').to_owned(), cookies: Mutex::default(), agent }
    }

    /// Opens a path of the site and follows redirects within it.
    pub async fn open(&self, path: &str) -> Page {
        let mut page = self.once(self.http.get(self.url(path)), path).await;
        for _ in 0..10 {
            let Some(next) = page.location().filter(|to| to.starts_with('/') && !to.starts_with("//")) else { break };
            let next = next.to_owned();
            page = self.once(self.http.get(self.url(&next)), &next).await;
        }
        page
    }

    /// Opens a path and follows nothing.
    pub async fn fetch(&self, path: &str) -> Page {
        self.once(self.http.get(self.url(path)), path).await
    }

    /// Sends a form and follows redirects within the site.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.send(path, fields).await;
        match page.location().filter(|to| to.starts_with('/') && !to.starts_with("//")) {
            Some(next) => self.open(next).await,
            None => page,
        }
    }

    /// Sends a form and follows nothing.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.once(self.http.post(self.url(path)).form(fields), path).await
    }

    /// Fills in the form whose action contains `action` and sends it.
    pub async fn submit(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let form = page.form(action);
        let kept = form.fields.iter().filter(|(name, _)| !fields.iter().any(|(n, _)| n == name));
        let mut all: Vec<(&str, &str)> = kept.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend_from_slice(fields);
        self.post(&form.action, &all).await
    }

    /// Sends a form of its own making with the `csrf` of a page, and follows nothing.
    pub async fn submit_once(&self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = page.field("csrf");
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.send(path, &fields).await
    }

    /// Opens the sign-in page, whoever is signed in, and sends its form; follows nothing.
    pub async fn log_in(&self, email: &str, password: &str) -> Page {
        let page = self.fetch("/login?again=true").await;
        let to = page.field("to");
        self.submit_once(&page, "/login", &[("email", email), ("password", password), ("to", &to)]).await
    }

    /// Sends a request as it is, with its cookies, and follows nothing.
    pub async fn request(&self, request: reqwest::RequestBuilder) -> Page {
        self.once(request, "").await
    }

    /// Signs in on the sign-in page that is shown.
    pub async fn sign_in(&self, page: &Page, email: &str, password: &str) -> Page {
        self.submit(page, "/login", &[("email", email), ("password", password)]).await
    }

    /// Presses a button of the consent page that is shown: `allow` or `deny`.
    pub async fn decide(&self, page: &Page, decision: &str) -> Page {
        self.submit(page, "/oauth/authorize/", &[("decision", decision)]).await
    }

    /// The value of a cookie whose name ends like this.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().find(|(known, _)| known.ends_with(name)).map(|(_, value)| value.clone())
    }

    /// The values of all cookies.
    pub fn all_cookies(&self) -> Vec<String> {
        self.cookies().into_values().collect()
    }

    /// All cookies, by name.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    /// Puts other cookies in the place of all.
    pub fn set_cookies(&self, cookies: BTreeMap<String, String>) {
        *self.cookies.lock().unwrap() = cookies;
    }

    /// Puts a cookie of another browser in the place of the one of that name, as a thief would.
    pub fn plant(&self, from: &Self, name: &str) {
        let stolen = from.cookies.lock().unwrap().clone().into_iter().filter(|(known, _)| known.ends_with(name));
        self.cookies.lock().unwrap().extend(stolen);
    }

    fn url(&self, path: &str) -> String {
        assert!(path.starts_with('/'), "{path} is not on this site");
        format!("{}{path}", self.site)
    }

    async fn once(&self, request: reqwest::RequestBuilder, path: &str) -> Page {
        let cookies: Vec<String> = self.cookies.lock().unwrap().iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = request.header("user-agent", &self.agent);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for line in headers.get_all(SET_COOKIE) {
            self.keep(line.to_str().unwrap());
        }
        Page { status, path: path.to_owned(), headers, html: response.text().await.unwrap() }
    }

    fn keep(&self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        if value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// Where the browser was sent, if anywhere.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION).map(|value| value.to_str().unwrap())
    }

    /// The same; empty when it was sent nowhere.
    pub fn to(&self) -> &str {
        self.location().unwrap_or_default()
    }

    /// The value of a field that is filled in already, of whichever form.
    pub fn field(&self, name: &str) -> String {
        let mut fields = self.forms().into_iter().flat_map(|form| form.fields);
        let found = fields.find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no field {name} in {}", self.html)).1
    }

    /// A parameter of the place that the browser was sent to; there must not be two.
    pub fn returned(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(self.location()?).ok()?;
        let mut found = url.query_pairs().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice: {url}");
        first
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The form whose action contains `action`.
    pub fn form(&self, action: &str) -> Form {
        let found = self.forms().into_iter().find(|form| form.action.contains(action));
        found.unwrap_or_else(|| panic!("no form with {action} on {} ({}):\n{}", self.path, self.status, self.html))
    }

    pub fn forms(&self) -> Vec<Form> {
        let forms = self.html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap());
        forms
            .map(|form| Form {
                action: attribute(form.split('>').next().unwrap(), "action").unwrap_or_else(|| self.path.clone()),
                fields: form
                    .split("<input")
                    .skip(1)
                    .map(|rest| rest.split('>').next().unwrap())
                    .filter_map(|input| {
                        Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
                    })
                    .collect(),
            })
            .collect()
    }

    /// What is to be read, without markup, in one line.
    pub fn text(&self) -> String {
        let body = self.html.split("<body").nth(1).unwrap_or(&self.html);
        let mut text = String::new();
        let mut inside = true;
        for c in body.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => text.push(c),
                _ => {}
            }
        }
        unescape(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
    rest.split('"').next().map(unescape)
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, tail) = after.split_once(';').unwrap_or((after, ""));
        let code = entity.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let code = code.or_else(|| entity.strip_prefix('#').map(str::parse));
        plain.push(match (entity, code) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            (_, Some(Ok(code))) => char::from_u32(code).unwrap(),
            _ => panic!("an entity that is not known: {entity}"),
        });
        rest = tail;
    }
    plain + rest
}

#[test]
fn forms_are_read() {
    let html = "<body><form method=\"post\" action=\"/a?b&#38;c\"><input type=\"hidden\" name=\"x\" value=\"&#34;&lt;\">\
                <input name=\"empty\"></form>\n<p>1 &amp; <b>2</b></p>";
    let page = Page { status: 200, path: "/".to_owned(), headers: HeaderMap::new(), html: html.to_owned() };
    let form = page.form("/a");
    assert_eq!(form.action, "/a?b&c");
    assert_eq!(form.fields, [("x".to_owned(), "\"<".to_owned()), ("empty".to_owned(), String::new())]);
    assert_eq!(page.text(), "1 & 2");
}
