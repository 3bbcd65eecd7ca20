import { expect } from 'chai';
import { demoApp } from '../../examples/demo/app.js';
import { AuditEntries, createUser, ready, Sessions, type SharedOptions, Users } from '../../lib/index.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import {
  atEnd,
  type Client,
  clientsOf,
  connect,
  countBy,
  inspector,
  secret,
  serve,
  times,
  world,
} from '../support/world.js';

const ada = { email: 'ada@example.com', password: 'lovelace-1815' };

const refresh = (client: Client, refreshToken: string) => client.post('/auth/refresh', { refreshToken });

/** Moves a session's last rotation so far back that no grace is left. */
const afterGrace = () =>
  Sessions(inspector()).updateMany({}, { rotatedAt: new Date(Date.now() - 3_600_000) });

/** Ada, signed in without cookies, with the grace of her first token over. */
async function signedIn() {
  const { anyone, ...rest } = await world();
  const { body } = await anyone()
    .post('/auth/sign-in', { ...ada, tokenDelivery: 'body' })
    .expect(200);
  await afterGrace();
  return {
    ...rest,
    client: anyone(),
    first: body.refreshToken as string,
    accessToken: body.accessToken as string,
  };
}

describe('a refresh token', () => {
  it('brings a new access token and its successor, for the same session', async () => {
    const { client, first, withHeaders } = await signedIn();

    const { body } = await refresh(client, first).expect(200);

    expect(body).to.have.all.keys('user', 'accessToken', 'expiresIn', 'refreshToken');
    expect(body.refreshToken).not.to.equal(first);
    await withHeaders({ Authorization: `Bearer ${body.accessToken}` })
      .get('/api/me')
      .expect(200);
    expect(await Sessions(inspector()).countDocuments()).to.equal(1);
    const [stored] = await inspector().collection('tollgate_sessions').find().toArray();
    expect(JSON.stringify(stored)).not.to.include(body.refreshToken.split('.')[2]);
  });

  it('has one successor, though 64 ask for it at once in two processes', async function () {
    this.timeout(60_000);
    const { client, first } = await signedIn();
    const [other] = await startProcesses(1);
    const clients = [client, other?.withHeaders({}) ?? expect.fail()];

    const answers = await Promise.all(times(64, (index) => refresh(clients[index % 2] as Client, first)));

    expect(countBy(answers, 'status')).to.deep.equal({ 200: 64 });
    expect(new Set(answers.map(({ body }) => body.refreshToken)).size).to.equal(1);
    expect(await Sessions(inspector()).distinct('generation')).to.deep.equal([1]);
  });

  it('is answered unchanged while it is new', async () => {
    const { client, first } = await signedIn();
    const { body: second } = await refresh(client, first).expect(200);
    const { body: third } = await refresh(client, second.refreshToken).expect(200);
    expect(third.refreshToken).to.equal(second.refreshToken);
  });

  it('has the same successor again within the grace, also after that was used', async () => {
    const { client, first } = await signedIn();
    const { body: second } = await refresh(client, first).expect(200);
    await refresh(client, second.refreshToken).expect(200);
    const { body: again } = await refresh(client, first).expect(200);
    expect(again.refreshToken).to.equal(second.refreshToken);
  });

  it('has the same successor again much later, when the answer was lost', async () => {
    const { client, first } = await signedIn();
    const { body: lost } = await refresh(client, first).expect(200);
    await afterGrace();
    const { body: again } = await refresh(client, first).expect(200);
    expect(again.refreshToken).to.equal(lost.refreshToken);
  });

  it('ends the session when it comes back after its successor was used: for both parties, and for every token', async () => {
    const { client, first, withHeaders } = await signedIn();
    const { body: second } = await refresh(client, first).expect(200);
    await afterGrace();
    const { body: third } = await refresh(client, second.refreshToken).expect(200);
    await afterGrace();

    const { body } = await refresh(client, first).expect(401);

    expect(body.code).to.equal('session_revoked');
    await refresh(client, third.refreshToken).expect(401);
    await refresh(client, second.refreshToken).expect(401);
    await withHeaders({ Authorization: `Bearer ${third.accessToken}` })
      .get('/api/me')
      .expect(401);
    expect(await AuditEntries(inspector()).countDocuments({ action: 'session.theft-detected' })).to.equal(1);
  });

  it('is theft when it was kept within the grace, its successor used on, and it comes back later', async () => {
    const { client, first } = await signedIn();
    const { body: second } = await refresh(client, first).expect(200);
    await refresh(client, second.refreshToken).expect(200);
    await afterGrace();
    expect((await refresh(client, first).expect(401)).body.code).to.equal('session_revoked');
  });

  it('leaves no descendant alive, however a theft and refreshes race', async () => {
    const { client, first } = await signedIn();
    const { body: second } = await refresh(client, first).expect(200);
    await afterGrace();
    const { body: third } = await refresh(client, second.refreshToken).expect(200);
    await afterGrace();

    const tokens = [first, second.refreshToken, third.refreshToken];
    const answers = await Promise.all(times(30, (index) => refresh(client, tokens[index % 3] as string)));

    const descendants = answers.flatMap(({ body }) => body.refreshToken ?? []);
    const later = await Promise.all([...tokens, ...descendants].map((token) => refresh(client, token)));
    expect(countBy(later, 'status')).to.deep.equal({ 401: later.length });
  });

  it('never outlives the session: not past the sliding nor the absolute end, nor after sign-out', async () => {
    for (const end of ['expiresAt', 'absoluteExpiresAt', 'revokedAt']) {
      const { client, first } = await signedIn();
      await Sessions(inspector()).updateMany({}, { [end]: new Date(Date.now() - 1000) });
      expect((await refresh(client, first).expect(401)).body.code, end).to.equal('session_revoked');
    }
  });

  it('lets the session slide, up to its absolute end', async () => {
    const { client, first } = await signedIn();
    const absoluteExpiresAt = new Date(Date.now() + 60_000);
    await Sessions(inspector()).updateMany({}, { absoluteExpiresAt });
    await refresh(client, first).expect(200);
    const { expiresAt } = await Sessions(inspector()).findOne().orFail().lean();
    expect(expiresAt).to.deep.equal(absoluteExpiresAt);
  });

  it('is refused for a user who was deactivated or deleted, and after a credential has changed', async () => {
    const changes: [change: object, status: number, code: string][] = [
      [{ status: 'inactive' }, 403, 'user_inactive'],
      [{ $inc: { credentialEpoch: 1 } }, 401, 'session_revoked'],
    ];
    for (const [change, status, code] of changes) {
      const { client, first } = await signedIn();
      await Users(inspector()).updateOne({ email: ada.email }, change);
      expect((await refresh(client, first).expect(status)).body.code).to.equal(code);
    }
  });

  it('counts only by the way that it was given out', async () => {
    const { anyone, withHeaders } = await world();
    const signIn = await anyone().post('/auth/sign-in', ada).expect(200);
    const cookie =
      (signIn.headers['set-cookie'] as unknown as string[]).find((each) =>
        each.startsWith('refresh_token'),
      ) ?? '';
    const byCookie = /refresh_token=([^;]+)/.exec(cookie)?.[1] ?? expect.fail();

    expect((await refresh(anyone(), byCookie).expect(401)).body.code).to.equal('token_invalid');
    const { headers, body } = await withHeaders({ Cookie: `refresh_token=${byCookie}` })
      .post('/auth/refresh')
      .expect(200);
    expect(body).to.have.all.keys('user', 'accessToken', 'expiresIn');
    expect(headers['set-cookie']).to.have.length(2);
    const asked = await withHeaders({ Cookie: `refresh_token=${byCookie}` })
      .post('/auth/refresh', { tokenDelivery: 'body' })
      .expect(200);
    expect(asked.body).not.to.have.property('refreshToken');

    const { body: inBody } = await anyone()
      .post('/auth/sign-in', { ...ada, tokenDelivery: 'body' })
      .expect(200);
    await withHeaders({ Cookie: `refresh_token=${inBody.refreshToken}` })
      .post('/auth/refresh')
      .expect(401);
  });

  it('is refused and changes nothing when it is forged, damaged or missing', async () => {
    const { client, first } = await signedIn();
    const [family, generation, random, mac] = first.split('.') as [string, string, string, string];
    const other = random.replace(/^./, (letter) => (letter === 'A' ? 'B' : 'A'));
    for (const forged of [
      `${family}.1.${random}.${mac}`,
      `${family}.${generation}.${other}.${mac}`,
      `${family}.${generation}.${random}`,
      `${first}A`,
      'x',
      `${first}.`,
    ]) {
      expect((await refresh(client, forged).expect(401)).body.code, forged).to.equal('token_invalid');
    }
    expect((await client.post('/auth/refresh').expect(401)).body.code).to.equal('token_missing');
    await client.post('/auth/refresh', { refreshToken: { $ne: '' } }).expect(400);
    await refresh(client, first).expect(200);
  });

  it('goes over to a new signing key, and is lost with a key that was dropped', async () => {
    const { first, connection } = await signedIn();
    const fresh = 'another secret of more than thirty-two bytes';
    const withKeys = async (...keys: string[]) => {
      const own = await connect(undefined, {});
      const server = await serve(demoApp({ connection: own, keys, cookies: { secure: false } }));
      return clientsOf(server).anyone();
    };
    const both = await withKeys(fresh, secret);
    const { body: second } = await refresh(both, first).expect(200);
    expect((await refresh(both, first).expect(200)).body.refreshToken).to.equal(second.refreshToken);
    await afterGrace();
    const onlyFresh = await withKeys(fresh);
    await refresh(onlyFresh, second.refreshToken).expect(200);
    await refresh(onlyFresh, first).expect(401);
    expect(connection.readyState).to.equal(1);
  });

  it('moves the times of the session that a request sees', async () => {
    const { client, first, withHeaders, accessToken } = await signedIn();
    const check = async () =>
      (
        await withHeaders({ Authorization: `Bearer ${accessToken}` })
          .post('/auth/check')
          .expect(200)
      ).body;
    const before = await check();
    await refresh(client, first).expect(200);
    const after = await check();
    expect(Date.parse(after.session.lastUsedAt)).to.be.above(Date.parse(before.session.lastUsedAt));
  });

  it('costs one write and one read', async () => {
    const { first } = await signedIn();
    const connection = await connect(undefined, { monitorCommands: true });
    await ready(connection);
    const client = clientsOf(
      await serve(demoApp({ connection, keys: [secret], cookies: { secure: false } })),
    ).anyone();
    await client.get('/api/hello').expect(200);
    const names: string[] = [];
    const listen = ({ commandName, command }: { commandName: string; command: Record<string, unknown> }) => {
      if (command[commandName] === 'tollgate_sessions') names.push(commandName);
    };
    connection.getClient().on('commandStarted', listen);
    atEnd(async () => void connection.getClient().off('commandStarted', listen));
    await refresh(client, first).expect(200);
    expect(names).to.deep.equal(['findAndModify', 'aggregate']);
  });
});

describe('a refresh token that two parties have used', () => {
  /** Bob's device and another one; the first token of the former comes back after its successor was used. */
  async function stolen(person: { email: string; password: string }, options: Partial<SharedOptions>) {
    const made = await mailWorld(options);
    const signIn = async () => {
      const credentials = { ...person, tokenDelivery: 'body' };
      return (await made.anyone().post('/auth/sign-in', credentials).expect(200)).body;
    };
    const [victim, other] = [await signIn(), await signIn()];
    await afterGrace();
    const { body: second } = await refresh(made.anyone(), victim.refreshToken).expect(200);
    await afterGrace();
    await refresh(made.anyone(), second.refreshToken).expect(200);
    await afterGrace();
    await refresh(made.anyone(), victim.refreshToken).expect(401);
    const there = made.withHeaders({ Authorization: `Bearer ${other.accessToken}` });
    return { ...made, there };
  }
  const member = { email: 'grace@example.com', password: 'cobol-forever' };
  const addMember = (shared: SharedOptions) => createUser({ ...shared, ...member, emailVerified: true });

  it('ends that session alone by default, and its owner hears of it by mail', async () => {
    const { there, next } = await stolen(ada, {});
    await there.get('/auth/profile').expect(200);
    expect((await next(ada.email, 'session-theft')).text).to.include('We have ended it');
  });

  it('ends all sessions of the user with onTheft: endSessions', async () => {
    const { there, anyone } = await stolen(ada, { onTheft: 'endSessions' });
    expect((await there.get('/auth/profile').expect(401)).body.code).to.equal('session_revoked');
    await anyone().post('/auth/sign-in', ada).expect(200);
  });

  it('deactivates the account with onTheft: deactivate, but not the last owner of an organization', async () => {
    const first = await stolen(ada, { onTheft: 'deactivate' });
    await first.there.get('/auth/profile').expect(401);
    await first.anyone().post('/auth/sign-in', ada).expect(200);

    await addMember(first.shared);
    const { body: victim } = await first
      .anyone()
      .post('/auth/sign-in', { ...member, tokenDelivery: 'body' })
      .expect(200);
    await afterGrace();
    const { body: second } = await refresh(first.anyone(), victim.refreshToken).expect(200);
    await afterGrace();
    await refresh(first.anyone(), second.refreshToken).expect(200);
    await afterGrace();
    await refresh(first.anyone(), victim.refreshToken).expect(401);
    await first.anyone().post('/auth/sign-in', member).expect(401);
    const entries = await inspector()
      .collection('tollgate_audit_entries')
      .countDocuments({ action: 'user.deactivated' });
    expect(entries).to.equal(1);
  });
});
