import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import Router from '@koa/router';
import { expect } from 'chai';
import jwt from 'jsonwebtoken';
import Koa from 'koa';
import mongoose, { type Connection } from 'mongoose';
import request, { type Response } from 'supertest';
import {
  ApiKeys,
  type AuthenticateOptions,
  authenticate,
  createApiKey,
  createOrganization,
  createUser,
  Memberships,
  type NewApiKey,
  problems,
  type SharedOptions,
  type SignedInSession,
  signIn,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { connect, emptyWorld, inspector, secret, serve, times, until } from '../support/world.js';

const password = 'correct horse battery';

/** An application whose only route answers what `authenticate()` found, to whatever method. */
async function guarded(options: AuthenticateOptions) {
  const router = new Router();
  const guard = authenticate(options as AuthenticateOptions & { optional?: false });
  router.all('/me', guard, (ctx) => {
    const { user, session, apiKey, credential, factors, claims } = ctx.state;
    const shared = [user, user?.roles, session, apiKey, apiKey?.scopes, factors, claims];
    const frozen = shared.every(Object.isFrozen);
    ctx.body = { user, session, apiKey, credential, factors, claims, frozen };
  });
  const app = new Koa();
  app.use(problems());
  app.use(router.routes());
  return request(await serve(app));
}

const signInWith = (shared: SharedOptions, email: string) => signIn({ ...shared, email, password });

/** Puts Ada and Bob into the database, each with a session; what was stored for the first test, for hashing takes a while. */
async function addPeople(shared: SharedOptions): Promise<People> {
  const stores = ['users', 'tollgate_sessions'].map((name) => inspector().collection(name));
  if (!kept) {
    const [ada, bob] = await Promise.all(
      ['ada@example.com', 'bob@example.com'].map(async (email) => {
        await createUser({ ...shared, email, password, emailVerified: true });
        return signInWith({ ...shared, keys: [secret], algorithm: 'HS256' }, email);
      }),
    );
    const documents = await Promise.all(stores.map((store) => store.find().toArray()));
    kept = { people: { ada, bob } as People, documents };
    return kept.people;
  }
  const { people, documents } = kept;
  await Promise.all(stores.map((store, index) => store.insertMany(documents[index] ?? [])));
  return people;
}

type People = Record<'ada' | 'bob', SignedInSession>;
let kept: { people: People; documents: mongoose.mongo.BSON.Document[][] } | undefined;

/** Ada, Bob, and the guarded application; each has signed in. */
async function guardedWorld({ optional, ...options }: Partial<AuthenticateOptions> = {}) {
  const { connection, shared } = await emptyWorld(options);
  const { ada, bob } = await addPeople(shared);
  return { connection, shared, app: await guarded({ ...shared, optional }), ada, bob };
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const cookie = (token: string, name = 'access_token') => ({ Cookie: `${name}=${token}` });

/** What was answered, in short: `200 ada@example.com` or `401 token_missing`. */
const answerOf = ({ status, body }: Response) => `${status} ${body.code ?? body.user?.email ?? 'nobody'}`;

type App = Awaited<ReturnType<typeof guarded>>;

const answersTo = async (app: App, cases: Record<string, Record<string, string>>) => {
  const answers: Record<string, string> = {};
  for (const [name, headers] of Object.entries(cases))
    answers[name] = answerOf(await app.get('/me').set(headers));
  return answers;
};

const all = (cases: object, answer: string) =>
  Object.fromEntries(Object.keys(cases).map((name) => [name, answer]));

const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token like `genuine` but for some members of its header and payload, with an HMAC by `key`. */
function forge(
  genuine: string,
  { header = {}, payload = {}, key = secret as string | Buffer, hash = 'sha256' },
): string {
  const token = jwt.decode(genuine, { complete: true });
  const body = typeof payload === 'string' ? payload : { ...(token?.payload as object), ...payload };
  const signed = `${json({ ...token?.header, ...header })}.${json(body)}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`;
}

const gone = undefined;
const now = () => Math.floor(Date.now() / 1000);
const elsewhere = 'another secret of more than 32 bytes';
const attackers = generateKeyPairSync('rsa', { modulusLength: 2048 });

describe('authenticate()', () => {
  describe('finds the user', () => {
    it('by the cookie, and by Authorization: Bearer in any case', async () => {
      const { app, ada } = await guardedWorld();
      const cases = {
        cookie: cookie(ada.accessToken),
        bearer: bearer(ada.accessToken),
        'lower case': { Authorization: `bearer ${ada.accessToken}` },
      };

      expect(await answersTo(app, cases)).to.deep.equal(all(cases, '200 ada@example.com'));
    });

    it('by the __Host- cookie alone where cookies are secure, and by the plain one alone where they are not', async () => {
      const { app, shared, ada } = await guardedWorld();
      const secure = await guarded({ ...shared, cookies: { secure: true } });
      const cases = {
        plain: cookie(ada.accessToken),
        prefixed: cookie(ada.accessToken, '__Host-access_token'),
      };

      expect(await answersTo(app, cases)).to.deep.equal({
        plain: '200 ada@example.com',
        prefixed: '401 token_missing',
      });
      expect(await answersTo(secure, cases)).to.deep.equal({
        plain: '401 token_missing',
        prefixed: '200 ada@example.com',
      });
    });

    it('and says who it is, by which session and which factors, in frozen state', async () => {
      const { app, ada } = await guardedWorld();

      const { body } = await app.get('/me').set(bearer(ada.accessToken)).expect(200);

      const found = { credential: 'session', factors: ['password'], apiKey: null, claims: {}, frozen: true };
      expect(body).to.deep.include(found);
      expect(body.user).to.have.all.keys(
        'id',
        'email',
        'emailVerified',
        'name',
        'roles',
        'status',
        'createdAt',
      );
      expect(body.user).to.deep.include({ id: ada.user.id, roles: ['user'], status: 'active' });
      expect(body.session).to.include({ id: ada.session.id });
    });

    it('by the valid credential when the other one is not', async () => {
      const { app, ada } = await guardedWorld();
      const cases = {
        'bad cookie': { ...cookie('nonsense'), ...bearer(ada.accessToken) },
        'bad bearer': { ...cookie(ada.accessToken), ...bearer('nonsense') },
        'forged cookie': {
          ...cookie(forge(ada.accessToken, { key: elsewhere })),
          ...bearer(ada.accessToken),
        },
        'basic beside the cookie': { ...cookie(ada.accessToken), Authorization: 'Basic YTpi' },
      };

      expect(await answersTo(app, cases)).to.deep.equal(all(cases, '200 ada@example.com'));
    });

    it('when two credentials are two sessions of one user, of which the cookie goes first', async () => {
      const { app, shared, ada } = await guardedWorld();
      const second = await signInWith(shared, 'ada@example.com');

      const headers = { ...cookie(second.accessToken), ...bearer(ada.accessToken) };
      const { body } = await app.get('/me').set(headers).expect(200);

      expect(body.session.id).to.equal(second.session.id).and.not.equal(ada.session.id);
    });
  });

  describe('refuses', () => {
    it('two valid credentials of different users with 400 credentials_conflict', async () => {
      const { app, ada, bob } = await guardedWorld();
      const headers = { ...cookie(ada.accessToken), ...bearer(bob.accessToken) };

      expect(answerOf(await app.get('/me').set(headers))).to.equal('400 credentials_conflict');
    });

    it('a request without a credential, or with one in the query string, with 401 token_missing and WWW-Authenticate', async () => {
      const { app, ada } = await guardedWorld();
      const token = ada.accessToken;

      const answer = await app
        .get(`/me?access_token=${token}&token=${token}`)
        .expect('WWW-Authenticate', /^Bearer/);

      expect(answerOf(answer)).to.equal('401 token_missing');
      expect(answer.type).to.equal('application/problem+json');
    });

    it('a malformed Authorization or cookie of every kind with 401, never 500', async () => {
      const { app, ada } = await guardedWorld();
      const { accessToken } = ada;
      const authorizations = [
        '', 'Bearer', 'Bearer ', 'Bearer  ', 'Bearer a', 'Bearer a b', 'Bearer a.b.c', 'Bearer ...', 'Bearer .',
        'Bearer null', 'Bearer undefined', 'Bearer true', 'Bearer [object Object]', 'Bearer {}', 'Bearer []',
        'Bearer ["a","b"]', 'Bearer {"$ne":""}', 'Bearer %00', 'Bearer \u00e9\u00ff', 'Bearer\ta', 'Bearer,',
        `Bearer ${'A'.repeat(10_000)}`, `Bearer ${'.'.repeat(10_000)}`, `Bearer ${'bnVsbA.'.repeat(1_000)}`,
        'Bearer bnVsbA.bnVsbA.bnVsbA', 'Bearer W10.W10.W10', 'Bearer e30.e30.', 'Bearer InRleHQi.InRleHQi.AA',
        `Bearer ${accessToken}, Bearer ${accessToken}`, `Bearer ${accessToken} ${accessToken}`, `${accessToken}`,
        `Bearer=${accessToken}`, `Bearer"${accessToken}"`, `Token ${accessToken}`, `Bearer Bearer ${accessToken}`,
        'Basic YWRhOmxvdmVsYWNl', 'Basic', 'Digest username="ada"', 'bearer', 'BEARER a', 'Negotiate', ',', '=',
      ]; // biome-ignore format: a list to scan

      for (const authorization of authorizations) {
        const answer = await app.get('/me').set({ Authorization: authorization });
        expect(answer.status, authorization.slice(0, 60)).to.equal(401);
        expect(answer.headers['www-authenticate']).to.match(/^Bearer/);
      }
      for (const value of ['', '""', '%', '%E0%A4%A', 'a b', 'null', 'j:{"$ne":1}', 'x'.repeat(10_000)]) {
        expect((await app.get('/me').set(cookie(value))).status, value.slice(0, 60)).to.equal(401);
      }
    });

    /** Each is made from a genuine token by changing one thing, and but for where that is the point, signed with our key. */
    const forgeries: Record<string, (genuine: string) => string> = {
      'alg none': (token) => `${forge(token, { header: { alg: 'none' } }).replace(/[^.]*$/, '')}`,
      'alg none, signed all the same': (token) => forge(token, { header: { alg: 'none' } }),
      'alg nOnE': (token) => forge(token, { header: { alg: 'nOnE' } }).replace(/[^.]*$/, ''),
      'an algorithm that is not pinned': (token) =>
        forge(token, { header: { alg: 'HS512' }, hash: 'sha512' }),
      'no alg': (token) => forge(token, { header: { alg: gone } }),
      'another secret': (token) => forge(token, { key: elsewhere }),
      'an empty secret': (token) => forge(token, { key: '' }),
      'an unknown kid': (token) => forge(token, { header: { kid: 'attacker' } }),
      'no kid': (token) => forge(token, { header: { kid: gone } }),
      'a path as kid': (token) => forge(token, { header: { kid: '../../../../dev/null' }, key: '' }),
      'a query as kid': (token) => forge(token, { header: { kid: { $ne: '' } } }),
      'a list as kid': (token) => forge(token, { header: { kid: [gone, 'a'] } }),
      'a kid of the prototype': (token) => forge(token, { header: { kid: '__proto__' } }),
      "the attacker's own jwk": (token) => {
        const jwk = attackers.publicKey.export({ format: 'jwk' });
        return signedByAttacker(token, { jwk });
      },
      "the attacker's own jku": (token) => signedByAttacker(token, { jku: 'https://evil.example/jwks.json' }),
      "the attacker's own x5u": (token) => signedByAttacker(token, { x5u: 'https://evil.example/cert.pem' }),
      'typ JWT': (token) => forge(token, { header: { typ: 'JWT' } }),
      'no typ': (token) => forge(token, { header: { typ: gone } }),
      'no exp': (token) => forge(token, { payload: { exp: gone } }),
      'exp as text': (token) => forge(token, { payload: { exp: String(now() + 900) } }),
      'exp null': (token) => forge(token, { payload: { exp: null } }),
      'exp in the past': (token) => forge(token, { payload: { exp: now() - 1 } }),
      'exp right now': (token) => forge(token, { payload: { exp: now() } }),
      'exp zero': (token) => forge(token, { payload: { exp: 0 } }),
      'nbf in the future': (token) => forge(token, { payload: { nbf: now() + 60 } }),
      'nbf as text': (token) => forge(token, { payload: { nbf: 'yesterday' } }),
      'another iss': (token) => forge(token, { payload: { iss: 'evil' } }),
      'no iss': (token) => forge(token, { payload: { iss: gone } }),
      'iss as a list': (token) => forge(token, { payload: { iss: ['koa-tollgate'] } }),
      'another aud': (token) => forge(token, { payload: { aud: 'another-service' } }),
      'no aud': (token) => forge(token, { payload: { aud: gone } }),
      'no sub': (token) => forge(token, { payload: { sub: gone } }),
      'no sid': (token) => forge(token, { payload: { sid: gone } }),
      'a query as sid': (token) => forge(token, { payload: { sid: { $ne: '' } } }),
      'a query as sub': (token) => forge(token, { payload: { sub: { $ne: '' } } }),
      'a text as payload': (token) => forge(token, { payload: 'text' }),
      'a truncated signature': (token) => token.slice(0, -10),
      'no signature': (token) => token.replace(/[^.]*$/, ''),
      'two parts only': (token) => token.split('.').slice(0, 2).join('.'),
      'a fourth part': (token) => `${token}.${token.split('.')[2]}`,
      'an edited header': (token) => edited(token, 0),
      'an edited payload': (token) => edited(token, 1),
      'an edited signature': (token) => edited(token, 2),
    };

    const signedByAttacker = (genuine: string, header: object) => {
      const token = jwt.decode(genuine, { complete: true });
      const claims = token?.payload as jwt.JwtPayload;
      const key = attackers.privateKey;
      return jwt.sign(claims, key, { header: { ...token?.header, alg: 'RS256', ...header } });
    };

    /** With another character in the middle of one part. */
    const edited = (token: string, part: number) =>
      token
        .split('.')
        .map((text, index) =>
          index === part ? text.slice(0, 20) + (text[20] === 'A' ? 'B' : 'A') + text.slice(21) : text,
        )
        .join('.');

    it('forged, foreign, stale and mutilated tokens with 401 token_invalid, in either place', async () => {
      const { app, ada } = await guardedWorld();
      expect(answerOf(await app.get('/me').set(bearer(forge(ada.accessToken, {}))))).to.match(/^200/);

      for (const place of [bearer, cookie]) {
        const cases = Object.fromEntries(
          Object.entries(forgeries).map(([name, make]) => [name, place(make(ada.accessToken))]),
        );
        expect(await answersTo(app, cases)).to.deep.equal(all(cases, '401 token_invalid'));
      }
    });

    it('a token signed with the public key as if it were a secret, where an RSA key is pinned', async () => {
      const { publicKey, privateKey } = attackers;
      const { app, shared } = await guardedWorld({ keys: [privateKey], algorithm: 'RS256' });
      const ada = await signInWith(shared, 'ada@example.com');
      const header = { alg: 'HS256' };
      const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
      const der = publicKey.export({ type: 'spki', format: 'der' });
      const cases = {
        pem: bearer(forge(ada.accessToken, { header, key: pem })),
        'trimmed pem': bearer(forge(ada.accessToken, { header, key: pem.trim() })),
        der: bearer(forge(ada.accessToken, { header, key: der })),
        none: bearer(forge(ada.accessToken, { header: { alg: 'none' } }).replace(/[^.]*$/, '')),
      };

      expect(await answersTo(app, cases)).to.deep.equal(all(cases, '401 token_invalid'));
      expect(await answersTo(app, { genuine: bearer(ada.accessToken) })).to.deep.equal({
        genuine: '200 ada@example.com',
      });
    });

    it('a token of another session, of no session or of nobody with 401 session_revoked', async () => {
      const { app, ada, bob } = await guardedWorld();
      const payloads = {
        "another user's session": { sid: bob.session.id },
        'an unknown session': { sid: String(new mongoose.Types.ObjectId()) },
        'a malformed session': { sid: 'nonsense' },
        'an empty session': { sid: '' },
        'an unknown user': { sub: String(new mongoose.Types.ObjectId()) },
      };
      const cases = Object.fromEntries(
        Object.entries(payloads).map(([name, payload]) => [
          name,
          bearer(forge(ada.accessToken, { payload })),
        ]),
      );

      expect(await answersTo(app, cases)).to.deep.equal(all(cases, '401 session_revoked'));
    });
  });

  describe('with several keys', () => {
    it('accepts what any of them signed, and what a dropped one signed no more', async () => {
      const [older, newer] = [secret, elsewhere];
      const { shared, ada } = await guardedWorld();
      const renewed = await signInWith({ ...shared, keys: [newer, older] }, 'ada@example.com');
      const cases = { older: bearer(ada.accessToken), newer: bearer(renewed.accessToken) };
      const answersWith = async (...keys: string[]) => answersTo(await guarded({ ...shared, keys }), cases);
      const [accepted, refused] = ['200 ada@example.com', '401 token_invalid'];

      expect(await answersWith(newer, older)).to.deep.equal({ older: accepted, newer: accepted });
      expect(await answersWith(older, newer)).to.deep.equal({ older: accepted, newer: accepted });
      expect(await answersWith(newer)).to.deep.equal({ older: refused, newer: accepted });
      expect(await answersWith(older)).to.deep.equal({ older: accepted, newer: refused });
    });

    const pairs: Record<'RS256' | 'ES256', () => { privateKey: KeyObject; publicKey: KeyObject }> = {
      RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
      ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    };
    for (const algorithm of ['RS256', 'ES256'] as const) {
      it(`lets an application that holds only the public key verify ${algorithm}`, async () => {
        const { privateKey, publicKey } = pairs[algorithm]();
        const { app, shared } = await guardedWorld({ keys: [privateKey], algorithm });
        const ada = await signInWith(shared, 'ada@example.com');
        const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
        const stranger = pairs[algorithm]().publicKey;
        const headers = bearer(ada.accessToken);

        expect(answerOf(await app.get('/me').set(headers))).to.equal('200 ada@example.com');
        for (const [key, answer] of [
          [publicKey, '200 ada@example.com'],
          [pem, '200 ada@example.com'],
          [stranger, '401 token_invalid'],
        ] as const) {
          const verifier = await guarded({ ...shared, keys: [key] });
          expect(answerOf(await verifier.get('/me').set(headers))).to.equal(answer);
        }
      });
    }
  });

  describe('when the account or the session has changed', () => {
    const users = () => inspector().collection('users');
    const sessions = () => inspector().collection('tollgate_sessions');
    const byEmail = { email: 'ada@example.com' };
    const past = new Date(Date.now() - 1000);
    const changes: [what: string, make: () => Promise<unknown>, answer: string][] = [
      ['a deactivated user', () => users().updateOne(byEmail, { $set: { status: 'inactive' } }), '403 user_inactive'],
      ['a deleted user', () => users().deleteOne(byEmail), '401 session_revoked'],
      ['a new credential', () => users().updateOne(byEmail, { $inc: { credentialEpoch: 1 } }), '401 session_revoked'],
      ['an ended session', () => sessions().updateMany({}, { $set: { revokedAt: past } }), '401 session_revoked'],
      ['an expired session', () => sessions().updateMany({}, { $set: { expiresAt: past } }), '401 session_revoked'],
      ['a deleted session', () => sessions().deleteMany({}), '401 session_revoked'],
    ]; // biome-ignore format: a table

    for (const [what, make, answer] of changes) {
      it(`answers ${answer} for ${what}, in strict mode also right after a request that passed`, async () => {
        const { app, shared, ada } = await guardedWorld();
        const strict = await guarded({ ...shared, strict: true });
        const headers = bearer(ada.accessToken);
        await strict.get('/me').set(headers).expect(200);

        await make();

        expect(answerOf(await strict.get('/me').set(headers)), 'strict').to.equal(answer);
        expect(answerOf(await app.get('/me').set(headers)), 'first use').to.equal(answer);
      });
    }

    it('says that the user is deactivated rather than that the session has ended', async () => {
      const { app, ada } = await guardedWorld();
      await users().updateOne(byEmail, { $set: { status: 'inactive' }, $inc: { credentialEpoch: 1 } });
      await sessions().updateMany({}, { $set: { revokedAt: past } });
      const headers = { ...cookie(ada.accessToken), ...bearer('nonsense') };

      expect(answerOf(await app.get('/me').set(headers))).to.equal('403 user_inactive');
    });

    it('shows a change of the user to the next request in strict mode', async () => {
      const { app, ada } = await guardedWorld({ strict: true });
      await app.get('/me').set(bearer(ada.accessToken)).expect(200);

      await users().updateOne(byEmail, { $set: { roles: ['user', 'admin'], name: 'Countess' } });

      const { body } = await app.get('/me').set(bearer(ada.accessToken)).expect(200);
      expect(body.user).to.deep.include({ roles: ['user', 'admin'], name: 'Countess' });
    });
  });

  describe('optional', () => {
    it('treats an invalid credential as absent, and a deactivated user: a null user', async () => {
      const { app, ada } = await guardedWorld({ optional: true });
      const ended = { payload: { sid: 'nonsense' } };
      const cases = {
        none: {} as Record<string, string>,
        nonsense: bearer('nonsense'),
        'a bad cookie': cookie('nonsense'),
        'an ended session': bearer(forge(ada.accessToken, ended)),
      };

      expect(await answersTo(app, cases)).to.deep.equal(all(cases, '200 nobody'));
      const { body } = await app.get('/me').set(bearer('nonsense'));
      const nobody = {
        user: null,
        session: null,
        apiKey: null,
        credential: null,
        factors: null,
        claims: null,
      };
      expect(body).to.include(nobody);
      await inspector()
        .collection('users')
        .updateMany({}, { $set: { status: 'inactive' } });
      expect(answerOf(await app.get('/me').set(bearer(ada.accessToken)))).to.equal('200 nobody');
    });

    it('finds the user of a valid one, and refuses two of different users', async () => {
      const { app, ada, bob } = await guardedWorld({ optional: true });
      const cases = {
        one: bearer(ada.accessToken),
        two: { ...cookie(ada.accessToken), ...bearer(bob.accessToken) },
      };

      expect(await answersTo(app, cases)).to.deep.equal({
        one: '200 ada@example.com',
        two: '400 credentials_conflict',
      });
    });

    it('answers 503 with Retry-After, not a null user, while the database gives no answer', async () => {
      const { connection, app, ada } = await guardedWorld({ optional: true });
      await connection.close();

      const answer = await app.get('/me').set(bearer(ada.accessToken)).expect('Retry-After', /^\d+$/);

      expect(answerOf(answer)).to.equal('503 database_unavailable');
    });
  });

  describe('asks the database', () => {
    /** Counts the commands of a connection, but for those by which caches hear of changes. */
    function count(connection: Connection): { commands: string[] } {
      const seen = { commands: [] as string[] };
      connection.getClient().on('commandStarted', ({ commandName, command }) => {
        const listens = commandName === 'getMore' || command.pipeline?.[0]?.$changeStream;
        if (!listens && command.update !== 'tollgate_revocations') seen.commands.push(commandName);
      });
      return seen;
    }

    it('nothing for a request whose session is known, and once in strict mode', async () => {
      const { shared, ada } = await guardedWorld();
      const options = { monitorCommands: true };
      const connection = await connect(undefined, options);
      const seen = count(connection);
      const commandsOf = async (app: App, requests: number) => {
        seen.commands = [];
        for (const _ of times(requests, () => 0))
          await app.get('/me').set(bearer(ada.accessToken)).expect(200);
        return seen.commands;
      };

      const cached = await guarded({ ...shared, connection });
      await until(async () => (await commandsOf(cached, 1)).length === 0);
      expect(await commandsOf(cached, 20)).to.deep.equal([]);
      const strict = await guarded({ ...shared, connection, strict: true });
      expect(await commandsOf(strict, 5)).to.deep.equal(times(5, () => 'aggregate'));
    });
  });

  describe('with the cookie, for a request that changes something,', () => {
    const friend = 'https://friend.example';
    const publicUrl = 'https://app.example.com/start';
    const evil = 'https://evil.example';
    type Case = [headers: Record<string, string>, here: number, atPublicUrl: number];
    const cases = (own: string): Case[] => [
      [{}, 200, 200],
      [{ 'Sec-Fetch-Site': 'same-origin' }, 200, 200],
      [{ 'Sec-Fetch-Site': 'same-origin', Origin: own }, 200, 200],
      [{ 'Sec-Fetch-Site': 'cross-site' }, 403, 403],
      [{ 'Sec-Fetch-Site': 'same-site' }, 403, 403],
      [{ 'Sec-Fetch-Site': 'none' }, 403, 403],
      [{ 'Sec-Fetch-Site': 'nonsense' }, 403, 403],
      [{ 'Sec-Fetch-Site': 'cross-site', Origin: friend }, 200, 200],
      [{ 'Sec-Fetch-Site': 'cross-site', Origin: evil }, 403, 403],
      [{ 'Sec-Fetch-Site': 'same-site', Origin: evil }, 403, 403],
      [{ Origin: friend }, 200, 200],
      [{ Origin: own }, 200, 403],
      [{ Origin: 'https://app.example.com' }, 403, 200],
      [{ Origin: 'http://app.example.com' }, 403, 403],
      [{ Origin: evil }, 403, 403],
      [{ Origin: 'null' }, 403, 403],
      [{ Origin: 'null', 'Sec-Fetch-Site': 'cross-site' }, 403, 403],
      [{ Origin: `${friend}.evil.example` }, 403, 403],
      [{ Origin: 'https://friend.example:444' }, 403, 403],
      [{ Origin: 'https://app.example.com.evil.example' }, 403, 403],
      [{ Origin: 'nonsense' }, 403, 403],
      [{ Origin: evil, Referer: own }, 403, 403],
    ];

    it('lets our own pages, allowed origins and what is no browser through, and refuses the rest', async () => {
      const { shared, ada } = await guardedWorld();
      const plain = await guarded({ ...shared, allowedOrigins: [friend] });
      const atPublicUrl = await guarded({ ...shared, allowedOrigins: [friend], publicUrl });
      const own = new URL(plain.get('/').url).origin;

      for (const [headers, ...statuses] of cases(own)) {
        for (const [index, app] of [plain, atPublicUrl].entries()) {
          const sent = { ...cookie(ada.accessToken), ...headers, Host: new URL(own).host };
          const answer = await app.post('/me').set(sent);
          const expected = statuses[index] === 200 ? '200 ada@example.com' : '403 cross_origin';
          expect(answerOf(answer), JSON.stringify([index, headers])).to.equal(expected);
        }
      }
    });

    it('judges every method that changes something, and no other', async () => {
      const { app, ada } = await guardedWorld();
      const statusOf = async (method: 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete') =>
        (await app[method]('/me').set({ ...cookie(ada.accessToken), Origin: evil })).status;

      for (const method of ['get', 'head'] as const) expect(await statusOf(method), method).to.equal(200);
      for (const method of ['post', 'put', 'patch', 'delete'] as const)
        expect(await statusOf(method), method).to.equal(403);
    });

    it('judges the cookie also when a Bearer token goes with it, but not a Bearer token alone', async () => {
      const { app, ada } = await guardedWorld();
      const foreign = { Origin: evil, 'Sec-Fetch-Site': 'cross-site' };
      const token = bearer(ada.accessToken);

      const both = await app.post('/me').set({ ...foreign, ...token, ...cookie(ada.accessToken) });
      expect(answerOf(both)).to.equal('403 cross_origin');
      expect(answerOf(await app.post('/me').set({ ...foreign, ...token }))).to.equal('200 ada@example.com');
    });

    it('judges it also where signing in is optional', async () => {
      const { app, ada } = await guardedWorld({ optional: true });
      const answer = await app.post('/me').set({ ...cookie(ada.accessToken), Origin: evil });

      expect(answerOf(answer)).to.equal('403 cross_origin');
    });
  });

  describe('with an API key', () => {
    const byKey = (key: string) => ({ 'X-API-Key': key });

    /** The guarded application, and a key of Ada's. */
    async function keyWorld(options: Partial<AuthenticateOptions> = {}, limits: Partial<NewApiKey> = {}) {
      const all = await guardedWorld(options);
      const make = (input: Partial<NewApiKey> = {}) =>
        createApiKey({ ...all.shared, userId: all.ada.user.id, name: 'nightly', ...input });
      return { ...all, make, ...(await make(limits)) };
    }

    it('finds its user, and says by which key, in frozen state', async () => {
      const { app, ada, key, id, prefix } = await keyWorld({}, { scopes: ['images.write'] });

      const { body } = await app.get('/me').set(byKey(key)).expect(200);

      const found = { credential: 'apiKey', session: null, factors: [], claims: {}, frozen: true };
      expect(body).to.deep.include(found);
      expect(body.user.id).to.equal(ada.user.id);
      expect(body.apiKey).to.deep.include({ id, prefix, name: 'nightly', scopes: ['images.write'] });
      expect(JSON.stringify(body)).not.to.contain(key.slice(12)).and.not.to.match(/hash/i);
    });

    it('takes it from X-API-Key alone, never from the query string or another place', async () => {
      const { app, key } = await keyWorld();
      const places: Record<string, string>[] = [
        bearer(key),
        cookie(key),
        { Authorization: `ApiKey ${key}` },
        { 'X-Api-Token': key },
        { Cookie: `x-api-key=${key}` },
      ];
      for (const headers of places) expect((await app.get('/me').set(headers)).status).to.equal(401);
      const query = `/me?apiKey=${key}&api_key=${key}&x-api-key=${key}&X-API-Key=${key}&key=${key}`;
      expect(answerOf(await app.get(query))).to.equal('401 token_missing');
    });

    it('refuses what is no key with 401 token_invalid, without asking the database', async () => {
      const { shared, key } = await keyWorld();
      const connection = await connect(undefined, {
        monitorCommands: true,
      });
      const app = await guarded({ ...shared, connection });
      const commands = watchCommands(connection);
      const other = (at: number) => key.slice(0, at) + (key[at] === 'a' ? 'b' : 'a') + key.slice(at + 1);
      const texts = [
        'x', 'null', 'undefined', '{"$ne":""}', '[]', '[object Object]', 'tg_', 'tg___', '%00', '\u00e9', '0', '__proto__',
        other(0), other(3), other(11), other(12), other(30), other(key.length - 1), key.slice(0, -1), `${key}a`,
        `${key}, ${key}`, `Bearer ${key}`, `"${key}"`, key.toUpperCase(), key.slice(3), 'A'.repeat(8_000),
      ]; // biome-ignore format: a list to scan

      for (const text of texts) {
        const answer = await app.get('/me').set(byKey(text));
        expect(answerOf(answer), text.slice(0, 40)).to.equal('401 token_invalid');
        expect(answer.headers['www-authenticate']).to.match(/^Bearer/);
      }
      expect(commands).to.deep.equal([]);
      expect(answerOf(await app.get('/me').set(byKey('')))).to.equal('401 token_missing');
    });

    it('refuses it beside a session with 400 credentials_conflict, and passes over whatever is not valid', async () => {
      const { app, ada, bob, key, make } = await keyWorld();
      const expired = await make({ expiresAt: new Date(Date.now() + 60_000) });
      await ApiKeys(inspector()).updateOne({ _id: expired.id }, { expiresAt: new Date(0) });
      const token = ada.accessToken;
      const cases = {
        'with her own cookie': { ...byKey(key), ...cookie(token) },
        'with her own token': { ...byKey(key), ...bearer(token) },
        "with another's token": { ...byKey(key), ...bearer(bob.accessToken) },
        'with a bad token': { ...byKey(key), ...bearer('nonsense') },
        'with a bad cookie': { ...byKey(key), ...cookie('nonsense') },
        'bad, with a token': { ...byKey('nonsense'), ...bearer(token) },
        'expired, with a cookie': { ...byKey(expired.key), ...cookie(token) },
        "expired, with another's cookie": { ...byKey(expired.key), ...cookie(bob.accessToken) },
        'bad, with a bad token': { ...byKey('nonsense'), ...bearer('nonsense') },
      };

      expect(await answersTo(app, cases)).to.deep.equal({
        'with her own cookie': '400 credentials_conflict',
        'with her own token': '400 credentials_conflict',
        "with another's token": '400 credentials_conflict',
        'with a bad token': '200 ada@example.com',
        'with a bad cookie': '200 ada@example.com',
        'bad, with a token': '200 ada@example.com',
        'expired, with a cookie': '200 ada@example.com',
        "expired, with another's cookie": '200 bob@example.com',
        'bad, with a bad token': '401 token_invalid',
      });
    });

    it('takes only the kinds that it accepts, and refuses a valid one of another kind with 403 credential_not_allowed', async () => {
      const { shared, ada, key } = await keyWorld();
      const cases = {
        key: byKey(key),
        session: bearer(ada.accessToken),
        'bad key': byKey('nonsense'),
        'bad session': bearer('nonsense'),
        'session, bad key': { ...bearer(ada.accessToken), ...byKey('nonsense') },
        'key, bad session': { ...bearer('nonsense'), ...byKey(key) },
        both: { ...bearer(ada.accessToken), ...byKey(key) },
        none: {} as Record<string, string>,
      };
      const [yes, no] = ['200 ada@example.com', '403 credential_not_allowed'];
      const alike = {
        'bad key': '401 token_invalid',
        'bad session': '401 token_invalid',
        both: '400 credentials_conflict',
        none: '401 token_missing',
      };
      const answers = async (accept?: AuthenticateOptions['accept']) =>
        answersTo(await guarded({ ...shared, accept }), cases);

      const [keyOnly, sessionOnly, either] = [
        await answers(['apiKey']),
        await answers(['session']),
        await answers(),
      ];

      const [key_, session] = ['key, bad session', 'session, bad key'];
      expect(keyOnly).to.deep.equal({ ...alike, key: yes, [key_]: yes, session: no, [session]: no });
      expect(sessionOnly).to.deep.equal({ ...alike, key: no, [key_]: no, session: yes, [session]: yes });
      expect(either).to.deep.equal({ ...alike, key: yes, [key_]: yes, session: yes, [session]: yes });
    });

    it('where signing in is optional takes an invalid key for none, but not a valid one of another kind', async () => {
      const { shared, make, key } = await keyWorld({ optional: true });
      const elsewhere = await make({ allowedIps: ['192.0.2.1'] });
      const app = await guarded({ ...shared, optional: true });
      const cases = {
        valid: byKey(key),
        nonsense: byKey('nonsense'),
        'from elsewhere': byKey(elsewhere.key),
      };
      expect(await answersTo(app, cases)).to.deep.equal({
        valid: '200 ada@example.com',
        nonsense: '200 nobody',
        'from elsewhere': '200 nobody',
      });
      const sessionsOnly = await guarded({ ...shared, optional: true, accept: ['session'] });
      expect(await answersTo(sessionsOnly, cases)).to.deep.equal({
        valid: '403 credential_not_allowed',
        nonsense: '200 nobody',
        'from elsewhere': '200 nobody',
      });
    });

    it('lets it through from any page, for browsers do not send it unasked', async () => {
      const { app, key } = await keyWorld();
      const foreign = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
      expect(answerOf(await app.post('/me').set({ ...foreign, ...byKey(key) }))).to.equal(
        '200 ada@example.com',
      );
    });

    const keys = () => inspector().collection('tollgate_api_keys');
    const users = () => inspector().collection('users');
    const past = new Date(Date.now() - 1000);
    const changes: [what: string, make: () => Promise<unknown>, answer: string][] = [
      ['the key of a deactivated user', () => users().updateMany({}, { $set: { status: 'inactive' } }), '403 user_inactive'],
      ['the key of a deleted user', () => users().deleteMany({}), '401 token_invalid'],
      ['a deleted key', () => keys().updateMany({}, { $set: { deletedAt: past } }), '401 token_invalid'],
      ['an erased key', () => keys().deleteMany({}), '401 token_invalid'],
      ['an expired key', () => keys().updateMany({}, { $set: { expiresAt: past } }), '401 token_invalid'],
      ['a used-up key', () => keys().updateMany({}, { $set: { usesLeft: 0 } }), '401 token_invalid'],
      ['a key for another address', () => keys().updateMany({}, { $set: { allowedIps: ['192.0.2.1'] } }), '403 ip_not_allowed'],
      ['the key of a member who left', () => Memberships(inspector()).deleteMany({}), '401 token_invalid'],
    ]; // biome-ignore format: a table

    for (const [what, make, answer] of changes) {
      it(`answers ${answer} for ${what}, in strict mode also right after a request that passed`, async () => {
        const { app, shared, ada, ...world } = await keyWorld();
        const { id } = await createOrganization({ ...shared, name: 'A', slug: 'a', owner: ada.user.id });
        const { key } = await world.make({ organizationId: id });
        const strict = await guarded({ ...shared, strict: true });
        await strict.get('/me').set(byKey(key)).expect(200);

        await make();

        expect(answerOf(await strict.get('/me').set(byKey(key))), 'strict').to.equal(answer);
        expect(answerOf(await app.get('/me').set(byKey(key))), 'first use').to.equal(answer);
      });
    }

    it('asks the database nothing for a key that is known, and once in strict mode', async () => {
      const { shared, key } = await keyWorld();
      const connection = await connect(undefined, {
        monitorCommands: true,
      });
      const commands = watchCommands(connection);
      const commandsOf = async (app: App, requests: number) => {
        const before = commands.length;
        for (const _ of times(requests, () => 0)) await app.get('/me').set(byKey(key)).expect(200);
        return commands.slice(before).sort();
      };

      const cached = await guarded({ ...shared, connection });
      await commandsOf(cached, 1);
      await until(() => commands.length > 1);
      expect(commands).to.deep.equal(['aggregate', 'update']); // that it is in use is noted, without waiting
      await until(async () => (await commandsOf(cached, 1)).length === 0);
      expect(await commandsOf(cached, 20)).to.deep.equal([]);
      const strict = await guarded({ ...shared, connection, strict: true });
      expect(await commandsOf(strict, 5)).to.deep.equal(times(5, () => 'aggregate'));
    });

    it('answers 503, not 401, while the database gives no answer', async () => {
      const { connection, app, key } = await keyWorld({ optional: true });
      await connection.close();
      expect(answerOf(await app.get('/me').set(byKey(key)))).to.equal('503 database_unavailable');
    });
  });
});
