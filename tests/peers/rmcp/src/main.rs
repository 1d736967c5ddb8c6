//! The client of rmcp, the MCP Rust SDK, unchanged: connects, signs in, lists the tools, refreshes, lists them again.
//! Speaks lines of JSON: prints `{"open": url}` and reads the URL that the browser was sent back to.

use std::error::Error;
use std::io::BufRead;

use rmcp::ServiceExt;
use rmcp::transport::auth::{AuthClient, AuthorizationManager, AuthorizationRequest, OAuthState};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (server, redirect) = (arguments.next().ok_or("no server")?, arguments.next().ok_or("no redirect URI")?);
    let mut request = AuthorizationRequest::new(redirect).with_client_name("rmcp");
    if let Some(registered) = arguments.next().filter(|id| !id.is_empty()) {
        request = request.with_preregistered_client(registered);
    }
    let mut state = OAuthState::new(server.as_str(), None).await?;
    state.start_authorization(request).await?;
    println!("{}", json!({"open": state.get_authorization_url().await?}));
    let mut back = String::new();
    std::io::stdin().lock().read_line(&mut back)?;
    state.handle_callback_url(back.trim()).await?;
    let (client_id, first) = state.get_credentials().await?;
    let first = serde_json::to_value(first)?;
    let manager = state.into_authorization_manager().ok_or("not authorized")?;

    let (manager, tools) = tools(&server, manager).await?;
    let told = json!({
        "tools": tools, "scope": first["scope"], "token_type": first["token_type"], "client_id": client_id,
    });
    println!("{told}");
    let second = serde_json::to_value(manager.refresh_token().await?)?;
    let (_, tools) = self::tools(&server, manager).await?;
    println!("{}", json!({"tools": tools, "refreshed": second["refresh_token"] != first["refresh_token"]}));
    Ok(())
}

async fn tools(
    server: &str,
    manager: AuthorizationManager,
) -> Result<(AuthorizationManager, Vec<String>), Box<dyn Error>> {
    let client = AuthClient::new(reqwest::Client::new(), manager);
    let shared = client.auth_manager.clone();
    let config = StreamableHttpClientTransportConfig::with_uri(server);
    let service = ().serve(StreamableHttpClientTransport::with_client(client, config)).await?;
    let tools = service.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
    service.cancel().await?;
    let mut shared = shared;
    // the transport lets go of its client a moment after it has ended
    for _ in 0..200 {
        match std::sync::Arc::try_unwrap(shared) {
            Ok(manager) => return Ok((manager.into_inner(), tools)),
            Err(held) => shared = held,
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Err("the transport holds its client".into())
}
