//! Somebody with a browser that has no screen: keeps cookies, follows nothing by itself, sends the forms it was shown.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;

/// A browser.
pub struct Visitor {
    pub http: reqwest::Client,
    /// `http://127.0.0.1:port`
    origin: String,
    pub cookies: BTreeMap<String, String>,
    pub agent: String,
}

/// What it was answered.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let rest = self.text.split_once(&mark).unwrap_or_else(|| panic!("no field {name} in {}", self.text)).1;
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Visitor {
    pub fn new(origin: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let agent = "Mozilla/5.0 (X11; Linux x86_64) Visitor/1.0".to_owned();
        Self { http, origin: origin.to_owned(), cookies: BTreeMap::new(), agent }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.origin));
        self.send(request).await
    }

    /// POST of a form as it is given.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.http.post(format!("{}{path}", self.origin)).form(form);
        self.send(request).await
    }

    /// POST of a form with the `csrf` field of the page that it stands on.
    pub async fn submit(&mut self, page: &Page, path: &str, form: &[(&str, &str)]) -> Page {
        let csrf = page.field("csrf");
        let form: Vec<(&str, &str)> = form.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.post(path, &form).await
    }

    /// Opens the login page and sends the form.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Page {
        let page = self.get("/login?again=true").await;
        let to = page.field("to");
        self.submit(&page, "/login", &[("email", email), ("password", password), ("to", &to)]).await
    }

    pub async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header("user-agent", &self.agent);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for set in headers.get_all("set-cookie") {
            let (pair, attributes) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status, headers, text: answer.text().await.unwrap() }
    }
}
