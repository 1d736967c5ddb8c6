// The client of the MCP TypeScript SDK, unchanged: connects, signs in, lists the tools, refreshes, lists them again.
// Speaks lines of JSON: prints {"open": url} and reads the URL that the browser was sent back to.
import { createInterface } from 'node:readline';
import { Client, StreamableHTTPClientTransport, UnauthorizedError, DpopSession } from '@modelcontextprotocol/client';

const [server, redirect, registered, dpop] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const session = dpop ? await DpopSession.create() : undefined;
const kept = { client: registered ? { client_id: registered } : undefined };
const provider = {
  get redirectUrl() { return redirect; },
  get clientMetadata() {
    return { client_name: 'TypeScript SDK', redirect_uris: [redirect], token_endpoint_auth_method: 'none' };
  },
  state: () => 'a state of its own',
  clientInformation: () => kept.client,
  saveClientInformation(client) { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens(tokens) { kept.tokens = tokens; },
  redirectToAuthorization(url) { kept.url = url; },
  saveCodeVerifier(verifier) { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  ...(session && { dpop: () => session }),
};

async function tools() {
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider });
  const client = new Client({ name: 'peer', version: '1' });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    say({ open: kept.url.href });
    const back = new URL((await lines.next()).value);
    if (back.searchParams.get('state') !== 'a state of its own') throw new Error('another state came back');
    await transport.finishAuth(back.searchParams);
    return tools();
  }
  const listed = await client.listTools();
  await client.close();
  return listed.tools.map((tool) => tool.name);
}

say({ tools: await tools(), scope: kept.tokens.scope, token_type: kept.tokens.token_type, client_id: kept.client.client_id });
const first = kept.tokens;
// the server no longer takes the access token, as after its end: the SDK is to refresh without asking anybody
kept.tokens = { ...first, access_token: 'gone' };
say({ tools: await tools(), refreshed: kept.tokens.refresh_token !== first.refresh_token });
process.exit(0);
