"""The client of the MCP Python SDK, unchanged: connects, signs in, lists the tools, refreshes, lists them again.

Speaks lines of JSON: prints {"open": url} and reads the URL that the browser was sent back to.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

SERVER, REDIRECT, REGISTERED = (sys.argv + [""])[1:4]


def say(what):
    print(json.dumps(what), flush=True)


class Kept:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def redirect(url):
    say({"open": url})


async def callback():
    line = await asyncio.to_thread(sys.stdin.readline)
    query = parse_qs(urlsplit(line.strip()).query)
    one = {name: query[name][0] for name in ("code", "state", "iss") if name in query}
    return AuthorizationCodeResult(**one)


METADATA = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[REDIRECT], token_endpoint_auth_method="none")


async def tools(auth):
    async with httpx2.AsyncClient(auth=auth) as http:
        async with streamable_http_client(SERVER, http_client=http) as streams:
            async with ClientSession(*streams[:2]) as session:
                await session.initialize()
                return [tool.name for tool in (await session.list_tools()).tools]


async def main():
    kept = Kept()
    if REGISTERED:
        kept.client = OAuthClientInformationFull(
            client_id=REGISTERED, redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
        )
    auth = OAuthClientProvider(SERVER, METADATA, kept, redirect, callback)
    listed = await tools(auth)
    first = kept.tokens
    say({"tools": listed, "scope": first.scope, "token_type": first.token_type, "client_id": kept.client.client_id})
    # the access token's time is over: the SDK is to refresh without asking anybody
    auth.context.token_expiry_time = 1
    listed = await tools(auth)
    say({"tools": listed, "refreshed": kept.tokens.refresh_token != first.refresh_token})


asyncio.run(main())
