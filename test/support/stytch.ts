import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { StytchOptions } from '../../lib/runtime/stytch-options.js';
import { atEnd, portOf } from './world.js';

interface Stored {
  readonly member: Record<string, unknown>;
  readonly session: Record<string, unknown> & { member_session_id: string; expires_at: string };
  readonly token: string;
  readonly jwt: string;
}

/** What a test says of a member's session; the rest is made up. */
export interface SessionFacts {
  member?: Record<string, unknown>;
  session?: Record<string, unknown>;
  /** Seconds until it expires. */
  expiresIn?: number;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const at = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

/** Everything that the stand-in has been made to answer, as Stytch does. */
function ledger(projectId: string) {
  const sessions: Stored[] = [];
  return {
    find: (text: unknown) => sessions.find(({ token, jwt }) => token === text || jwt === text),
    forget(text: string) {
      const index = sessions.findIndex(({ token }) => token === text);
      if (index >= 0) sessions.splice(index, 1);
    },
    add({ member, session, expiresIn = 3_600 }: SessionFacts): Stored {
      const name = randomBytes(6).toString('hex');
      const memberId = String(member?.member_id ?? `member-test-${name}`);
      const organizationId = String(member?.organization_id ?? 'organization-test-acme');
      const made = {
        member: {
          email_address: `${name}@example.com`,
          email_address_verified: true,
          name: 'Grace Hopper',
          status: 'active',
          ...member,
          member_id: memberId,
          organization_id: organizationId,
        },
        session: {
          member_session_id: `member-session-test-${name}`,
          member_id: memberId,
          organization_id: organizationId,
          organization_slug: 'acme',
          started_at: at(-60),
          last_accessed_at: at(0),
          expires_at: at(expiresIn),
          authentication_factors: [{ type: 'password', delivery_method: 'knowledge' }],
          roles: ['stytch_member'],
          custom_claims: {},
          ...session,
        },
        token: randomBytes(33).toString('base64url'),
        jwt: `${json({ alg: 'RS256', typ: 'JWT' })}.${json({ aud: [projectId], sub: memberId, jti: name })}.${name}`,
      };
      sessions.push(made);
      return made;
    },
  };
}

const projects = { count: 0 };

/** The SDK says at every start that it was told another address than Stytch's. */
const { warn } = console;
console.warn = (...said: unknown[]) => {
  if (!String(said[0]).startsWith('[Stytch] Warning: Using a custom')) warn(...said);
};

/**
 * A stand-in for Stytch's B2B API, on plain HTTP, until the test ends: the one call that is used, with Stytch's own answers and
 * errors. Every one is a project of its own.
 */
export async function startStytch(options: Partial<StytchOptions> = {}) {
  projects.count += 1;
  const projectId = `project-test-${process.pid}-${projects.count}`;
  const secret = `secret-test-${randomBytes(12).toString('hex')}`;
  const basic = `Basic ${Buffer.from(`${projectId}:${secret}`).toString('base64')}`;
  const sessions = ledger(projectId);
  const state = { mode: 'up' as 'up' | 'silent' | 'failing' | 'limiting', failures: 0 };
  const calls: Record<string, unknown>[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks = await request.toArray();
    const asked = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
    calls.push(asked);
    if (state.mode === 'silent') return;
    const send = (status_code: number, body: object) => {
      response.writeHead(status_code, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ status_code, request_id: `request-id-test-${calls.length}`, ...body }));
    };
    const fail = (status: number, error_type: string) => send(status, { error_type, error_message: 'No.' });
    if (state.mode === 'failing' || state.failures > 0) {
      state.failures -= 1;
      return fail(500, 'internal_server_error');
    }
    if (state.mode === 'limiting') return fail(429, 'too_many_requests');
    if (request.headers.authorization !== basic) return fail(401, 'unauthorized_credentials');
    if (request.url !== '/v1/b2b/sessions/authenticate') return fail(404, 'route_not_found');
    if ('session_token' in asked === 'session_jwt' in asked) return fail(400, 'bad_request');
    const found = sessions.find(asked.session_token ?? asked.session_jwt);
    if (!found && 'session_jwt' in asked) return fail(400, 'invalid_session_jwt');
    if (!found || Date.parse(found.session.expires_at) <= Date.now()) return fail(404, 'session_not_found');
    const { member, session: member_session, token: session_token, jwt: session_jwt } = found;
    const organization = { organization_id: member_session.organization_id, organization_name: 'Acme' };
    send(200, { session_token, session_jwt, member, organization, member_session });
  }

  const server = createServer((request, response) => void answer(request, response));
  const listen = async (port: number) => void (await once(server.listen(port, '127.0.0.1'), 'listening'));
  await listen(0);
  const port = portOf(server);
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  atEnd(stop);
  const stytch = { projectId, secret, env: `http://127.0.0.1:${port}`, ...options } satisfies StytchOptions;
  return {
    /** What an application is told of it. */
    stytch,
    /** Of every call: what was asked. */
    calls,
    /** Starts a member's session; gives its token and its JWT. */
    start: (facts: SessionFacts = {}) => sessions.add(facts),
    revoke: (token: string) => sessions.forget(token),
    /** `silent`: takes every call and never answers. `failing`: 500. `limiting`: 429. */
    become(mode: typeof state.mode) {
      state.mode = mode;
    },
    /** Answers 500 so many times. */
    failTimes(count: number) {
      state.failures = count;
    },
    /** Refuses connections. */
    stop,
    restart: () => listen(port),
  };
}
