//! `holdfast adopt`: offers by the command line and by HTTP, and a database that changes clusters.

use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use super::{run, told};
use crate::support::server::Home;

const OWNER: &str = "OAuthClient/web/portal";

/// A database with a client that nobody owns.
async fn home() -> Home {
    let home = Home::new();
    assert_eq!(told(&home.command(&["migrate"]).output().unwrap()).0, 0);
    sql(&home, "INSERT INTO client (id, display_name, state, grant_types, redirect_uris, authentication_method, jwks,
        workload_identity, agent, consent, refresh_lifetime_seconds, refresh_idle_seconds, sender_constraint)
        VALUES ('portal', 'Portal', 'Active', '[\"authorization_code\"]', '[]', 'None', 'null', 'null', 'null', 'Required',
        60, 60, 'None')").await;
    home
}

async fn sql(home: &Home, text: &'static str) {
    let options = SqliteConnectOptions::new().filename(home.data().join("holdfast.db"));
    let mut connection = options.connect().await.unwrap();
    connection.execute(text).await.unwrap();
    connection.close().await.unwrap();
}

fn ask(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    told(&home.command(&[&["adopt"], arguments].concat()).output().unwrap())
}

/// K8
#[tokio::test]
async fn a_row_is_offered_listed_and_withdrawn() {
    let home = home().await;
    assert_eq!(ask(&home, &["--owner", OWNER, "portal"]), (0, format!("offered=portal\nowner={OWNER}\n"), "".into()));
    let (code, out, _) = ask(&home, &["--list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &listed[0]["owner"], &listed[0]["id"], &listed[0]["by"]),
        (0, &json!(OWNER), &json!("portal"), &json!("cli"))
    );
    assert_eq!(ask(&home, &["--withdraw", OWNER]), (0, format!("withdrawn={OWNER}\n"), "".into()));
    let (code, _, err) = ask(&home, &["--withdraw", OWNER]);
    assert_eq!((code, err), (1, format!("holdfast: nothing is offered to {OWNER}\n")));
    let (code, _, err) = ask(&home, &["--owner", OWNER, "nobody"]);
    assert_eq!((code, err.as_str()), (1, "holdfast: there is no OAuthClient nobody\n"));
    let (code, _, err) = ask(&home, &["--owner", OWNER, "dcr_1"]);
    assert_eq!((code, err.as_str()), (1, "holdfast: dcr_1 registered itself, and no object can manage it\n"));
}

/// K8: by HTTP, for administrators alone
#[tokio::test]
async fn an_administrator_offers_by_http() {
    let home = home().await;
    let server = home.start().await;
    let (operator, admin) = (home.api_key("olga", "operator"), home.api_key("anna", "admin"));
    let post = async |key: &str, body: Value| {
        let request = server.client().post(server.admin("/admin/offers")).bearer_auth(key).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let offer = json!({"owner": OWNER, "id": "portal"});
    assert_eq!(post(&operator, offer.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post(&admin, json!({"owner": "portal", "id": "portal"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(&admin, json!({"owner": OWNER, "id": "nobody"})).await.0, StatusCode::NOT_FOUND);
    let (status, made) = post(&admin, offer).await;
    assert_eq!((status, &made["by"]), (StatusCode::CREATED, &json!("apikey:anna")));
    let list = server.client().get(server.admin("/admin/offers")).bearer_auth(&operator).send().await.unwrap();
    assert_eq!(list.json::<Value>().await.unwrap()["items"], json!([made]));
    let delete = async |path: &str, key: &str| {
        let url = server.admin(&format!("/admin/offers/{path}"));
        server.client().delete(url).bearer_auth(key).send().await.unwrap().status()
    };
    assert_eq!(delete(OWNER, &operator).await, StatusCode::FORBIDDEN);
    assert_eq!(delete(OWNER, &admin).await, StatusCode::OK);
    assert_eq!(delete(OWNER, &admin).await, StatusCode::NOT_FOUND);
    assert_eq!(delete("Thing/a/b", &admin).await, StatusCode::NOT_FOUND);
}

/// K8, mechanics §10: one cluster has a database, until an administrator says that another one has it
#[tokio::test]
async fn a_database_of_another_cluster_is_served_after_a_word() {
    let mut home = home().await;
    home.start().await;
    sql(&home, "UPDATE installation SET cluster = 'elsewhere'").await;
    let refused = told(&home.refused());
    assert_eq!(refused.0, 2);
    assert!(refused.2.contains("see holdfast adopt --cluster"), "{refused:?}");
    let (code, out, err) = ask(&home, &["--cluster"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("holdfast: nothing was changed: ") && err.contains("--yes"), "{err}");
    assert_eq!(told(&home.refused()).0, 2, "nothing was changed");
    assert_eq!(ask(&home, &["--cluster", "--yes"]), (0, "cluster=none\noffered_rows=0\n".into(), "".into()));
    let (code, _, err) = ask(&home, &["--cluster", "none", "--yes"]);
    assert_eq!((code, err.as_str()), (1, "holdfast: the database is bound to cluster none already\n"));
    home.set("HOLDFAST_LOGGING__LEVEL", "info");
    home.start().await;
}

#[rstest]
#[case(&[], "error: the following required arguments")]
#[case(&["--owner", OWNER], "error: the following required arguments")]
#[case(&["--owner", "portal", "portal"], "error: invalid value 'portal' for '--owner")]
#[case(&["--list", "--withdraw", OWNER], "error: the argument '--list' cannot be used with")]
#[case(&["--list", "--yes"], "error: the argument '--")]
fn what_is_not_asked_properly_is_wrong_usage(#[case] arguments: &[&str], #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &[&["adopt"], arguments].concat());
    assert!(code == 2 && out.is_empty() && err.starts_with(says), "{code} {err}");
}
