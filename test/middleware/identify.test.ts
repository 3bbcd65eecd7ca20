import { once } from 'node:events';
import { type OutgoingHttpHeaders, request, type Server } from 'node:http';
import { expect } from 'chai';
import {
  createApiKey,
  identify,
  isTollgateError,
  revokeSessions,
  type SharedOptions,
} from '../../lib/index.js';
import { inspector, portOf, world } from '../support/world.js';

/** Lets a server take WebSockets of whoever is somebody, as an application would. */
function takeUpgrades(
  server: Server,
  options: SharedOptions & Partial<Parameters<typeof identify>[0]>,
): void {
  server.on('upgrade', async ({ headers, socket: { remoteAddress } }, socket) => {
    const answer = await identify({ ...options, headers, remoteAddress }).then(
      (found) =>
        `101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-User: ${found?.user.email}`,
      (error) => `${error.status} Refused\r\nX-Code: ${isTollgateError(error) ? error.code : error}`,
    );
    socket.end(`HTTP/1.1 ${answer}\r\n\r\n`);
  });
}

/** Asks for a WebSocket (RFC 6455) and gives the user whose it has become, or the code of the refusal. */
async function open(server: Server, headers: OutgoingHttpHeaders): Promise<string> {
  const handshake = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  const asked = request({
    port: portOf(server),
    host: '127.0.0.1',
    headers: { ...handshake, ...headers },
  }).end();
  const [answer] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')]);
  answer.resume?.();
  return answer.headers['x-user'] ?? answer.headers['x-code'];
}

async function chat(options: Partial<Parameters<typeof identify>[0]> = {}) {
  const { server, shared, signIn } = await world({ publicUrl: 'https://app.example.com' });
  takeUpgrades(server, { ...shared, ...options });
  const { headers, body } = await signIn('ada@example.com');
  const cookies = headers['set-cookie'] as unknown as string[];
  const cookie = cookies.map((line) => line.split(';')[0]).join('; ');
  return { server, shared, cookie, bearer: { Authorization: `Bearer ${body.accessToken}` }, ada: body.user };
}

const ours = { Origin: 'https://app.example.com' };

describe('identify()', () => {
  it('tells whose a WebSocket is, by cookie, access token or API key', async () => {
    const { server, shared, cookie, bearer, ada } = await chat();
    expect(await open(server, { Cookie: cookie, ...ours })).to.equal('ada@example.com');
    expect(await open(server, { Cookie: `theme="dark"; ${cookie}`, ...ours })).to.equal('ada@example.com');
    expect(await open(server, bearer)).to.equal('ada@example.com');
    const { key } = await createApiKey({
      ...shared,
      userId: ada.id,
      name: 'robot',
      allowedIps: ['127.0.0.1'],
    });
    expect(await open(server, { 'X-API-Key': key })).to.equal('ada@example.com');
    const elsewhere = await createApiKey({ ...shared, userId: ada.id, name: 'r', allowedIps: ['192.0.2.1'] });
    expect(await open(server, { 'X-API-Key': elsewhere.key })).to.equal('ip_not_allowed');
    expect(await open(server, { 'X-API-Key': key, Cookie: cookie, ...ours })).to.equal(
      'credentials_conflict',
    );
  });

  it('refuses the cookie from a page of somebody else, though the request is a GET', async () => {
    const { server, cookie, bearer } = await chat();
    const strange = [
      'https://evil.example',
      'null',
      'https://app.example.com.evil.example',
      'http://app.example.com',
    ];
    for (const Origin of strange)
      expect(await open(server, { Cookie: cookie, Origin }), Origin).to.equal('cross_origin');
    const site = { 'Sec-Fetch-Site': 'same-site', Origin: 'https://shop.example.com' };
    expect(await open(server, { Cookie: cookie, ...site })).to.equal('cross_origin');
    expect(await open(server, { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' })).to.equal('cross_origin');
    expect(await open(server, { ...bearer, Origin: 'https://evil.example' })).to.equal('ada@example.com');
    expect(await open(server, { Cookie: cookie })).to.equal('ada@example.com'); // no browser
  });

  it('takes the cookie from origins that are allowed, and without publicUrl from that of the host', async () => {
    const other = { Origin: 'https://admin.example.org' };
    const allowing = await chat({ allowedOrigins: ['https://admin.example.org'] });
    expect(await open(allowing.server, { Cookie: allowing.cookie, ...other })).to.equal('ada@example.com');
    const nameless = await chat({ publicUrl: undefined });
    const host = `127.0.0.1:${portOf(nameless.server)}`;
    const from = (origin: string) => open(nameless.server, { Cookie: nameless.cookie, Origin: origin });
    expect(await from(`http://${host}`)).to.equal('ada@example.com');
    expect(await from('http://127.0.0.1:1')).to.equal('cross_origin');
  });

  it('refuses whoever has no valid credential, or one that is not accepted', async () => {
    const { server, shared, bearer, ada } = await chat({ accept: ['session'] });
    expect(await open(server, {})).to.equal('token_missing');
    expect(await open(server, { Authorization: 'Bearer nonsense' })).to.equal('token_invalid');
    const { key } = await createApiKey({ ...shared, userId: ada.id, name: 'robot' });
    expect(await open(server, { 'X-API-Key': key })).to.equal('credential_not_allowed');
    await revokeSessions({ userId: ada.id, connection: shared.connection });
    expect(await open(server, bearer)).to.equal('session_revoked');
  });

  it('gives null where nobody need be signed in, but does not take a stranger for nobody', async () => {
    const { server, cookie } = await chat({ optional: true } as never);
    expect(await open(server, {})).to.equal('undefined');
    expect(await open(server, { Cookie: cookie, Origin: 'https://evil.example' })).to.equal('cross_origin');
  });

  it('hears in strict mode of what nobody has announced', async () => {
    const { server, cookie, bearer } = await chat({ strict: true });
    expect(await open(server, { Cookie: cookie, ...ours })).to.equal('ada@example.com');
    expect(await open(server, bearer)).to.equal('ada@example.com');
    const sessions = inspector().collection('tollgate_sessions');
    await sessions.updateMany({}, { $set: { revokedAt: new Date() } });
    expect(await open(server, { Cookie: cookie, ...ours })).to.equal('session_revoked');
  });

  it('believes as many proxies as there are, and counts one use of a key', async () => {
    const { server, shared, ada } = await chat({ trustedProxies: 1 });
    const input = { ...shared, userId: ada.id, name: 'robot', allowedIps: ['192.0.2.7'], uses: 1 };
    const { key } = await createApiKey(input);
    const from = (address: string) => ({ 'X-API-Key': key, 'X-Forwarded-For': address });
    expect(await open(server, from('192.0.2.7, 192.0.2.8'))).to.equal('ip_not_allowed');
    expect(await open(server, from('192.0.2.8, 192.0.2.7'))).to.equal('ada@example.com');
    expect(await open(server, from('192.0.2.7'))).to.equal('token_invalid');
  });
});
