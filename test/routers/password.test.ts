import { expect } from 'chai';
import { AuditEntries, OneTimeTokens, Users } from '../../lib/index.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import { countBy, inspector, times, world } from '../support/world.js';

const ada = { email: 'ada@example.com', password: 'lovelace-1815' };
const chosen = 'difference-engine';

/** A reset link of Ada, as her mail has it. */
async function forgotten(options = {}) {
  const made = await mailWorld(options);
  await made.anyone().post('/auth/password/forgot', { email: ada.email }).expect(202);
  return { ...made, token: await made.tokenOf(ada.email, 'reset-password') };
}

describe('a forgotten password', () => {
  it('is set anew by the link, once; every session ends, and the owner is told', async () => {
    const { anyone, as, token, next, connection } = await forgotten();
    const before = await as(ada.email);
    await anyone().post('/auth/password/verify-token', { token }).expect(204);
    await anyone().post('/auth/password/reset', { token, password: chosen }).expect(204);

    expect((await before.get('/auth/profile')).body.code).to.equal('session_revoked');
    await anyone().post('/auth/sign-in', ada).expect(401);
    await anyone()
      .post('/auth/sign-in', { ...ada, password: chosen })
      .expect(200);
    for (const path of ['verify-token', 'reset']) {
      const again = await anyone().post(`/auth/password/${path}`, {
        token,
        ...(path === 'reset' && { password: chosen }),
      });
      expect([again.status, again.body.code]).to.deep.equal([400, 'token_used']);
    }
    expect((await next(ada.email, 'password-changed')).subject).to.equal('Your password has changed');
    expect(await AuditEntries(connection).countDocuments({ action: 'password.reset' })).to.equal(1);
  });

  it('is set by one of many who use the link at once in two processes', async () => {
    const { token, connection, anyone } = await forgotten();
    const mailing = {
      publicUrl: 'http://app.example.com',
      smtpUrl: 'smtp://127.0.0.1:1',
      mailFrom: 'us@example.com',
    };
    const processes = await startProcesses(2, mailing);
    const answers = await Promise.all(
      times(10, (index) =>
        (processes[index % 2] as (typeof processes)[0])
          .withHeaders({})
          .post('/auth/password/reset', { token, password: `${chosen}-${index}` }),
      ),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 204: 1, 400: 9 });
    const winner = answers.findIndex(({ status }) => status === 204);
    await anyone()
      .post('/auth/sign-in', { ...ada, password: `${chosen}-${winner}` })
      .expect(200);
    expect(await AuditEntries(connection).countDocuments({ action: 'password.reset' })).to.equal(1);
  });

  for (const [what, change] of [
    ['the password has changed since the link was sent', { $inc: { credentialEpoch: 1 } }],
    ['the address has changed since', { $set: { email: 'countess@example.com' } }],
    ['the user is deactivated', { $set: { status: 'inactive' as const } }],
  ] as const) {
    it(`stays as it is when ${what}`, async () => {
      const { anyone, token, connection } = await forgotten();
      await Users(connection).updateOne({ email: ada.email }, change);
      const { body } = await anyone().post('/auth/password/reset', { token, password: chosen }).expect(400);
      expect(body.code).to.equal('token_used');
    });
  }

  it('is not set by an expired link, a link of another purpose, or a text that is no link', async () => {
    const { anyone, token, connection, tokenOf } = await forgotten();
    await anyone().post('/auth/signup', { email: 'new@example.com', password: 'brand-new-here' }).expect(202);
    const other = await tokenOf('new@example.com', 'verify-email');
    await OneTimeTokens(connection).updateOne({ email: ada.email }, { expiresAt: new Date(Date.now() - 1) });
    for (const bad of [token, other, 'x', `${token.split('.')[0]}.${'B'.repeat(43)}`]) {
      await anyone().post('/auth/password/reset', { token: bad, password: chosen }).expect(400);
    }
    for (const bad of [{ $ne: '' }, ['x'], 1, null]) {
      const { body } = await anyone()
        .post('/auth/password/reset', { token: bad, password: chosen })
        .expect(400);
      expect(body.code).to.equal('validation_failed');
    }
    await anyone().post('/auth/sign-in', ada).expect(200);
  });

  it('dies with the signing key that made the link', async () => {
    const { token, shared } = await forgotten();
    const { anyone } = await world({ ...shared, keys: ['another secret of more than thirty-two bytes'] });
    await anyone().post('/auth/password/verify-token', { token }).expect(400);
  });

  it('is asked for alike by known, unknown and deactivated addresses, and only the known gets a mail', async () => {
    const { anyone, connection, next, sent } = await mailWorld();
    await Users(connection).updateOne({ email: 'bob@example.com' }, { status: 'inactive' });
    const emails = ['nobody@example.com', 'bob@example.com', ada.email];
    const answers = [];
    for (const email of emails) answers.push(await anyone().post('/auth/password/forgot', { email }));
    expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body])))).to.have.property(
      'size',
      1,
    );
    await next(ada.email, 'reset-password');
    expect(await inspector().collection('tollgate_outbox').countDocuments()).to.equal(0);
    expect(sent).to.deep.equal([]);
  });

  it('never has a link to anywhere but publicUrl, whatever Host the request names', async () => {
    const { withHeaders, next } = await mailWorld();
    const evil = withHeaders({ Host: 'evil.example', 'X-Forwarded-Host': 'evil.example' });
    await evil.post('/auth/password/forgot', { email: ada.email }).expect(202);
    const { text, html } = await next(ada.email, 'reset-password');
    expect(text).to.match(/^http:\/\/app\.example\.com\/account\/reset-password\?token=\S+$/m);
    expect(text + html).not.to.include('evil');
  });

  it('may be one that the account never had', async () => {
    const { anyone, token, connection } = await forgotten();
    await Users(connection).updateOne({ email: ada.email }, { password: null });
    await anyone().post('/auth/password/reset', { token, password: chosen }).expect(204);
    await anyone()
      .post('/auth/sign-in', { ...ada, password: chosen })
      .expect(200);
  });
});

describe('POST /auth/password/change', () => {
  it('takes the current password; the other sessions end and this one goes on', async () => {
    const { anyone, as, next } = await mailWorld();
    const [here, there] = [await as(ada.email), await as(ada.email)];
    const wrong = await here.post('/auth/password/change', {
      currentPassword: 'wrong-guess',
      newPassword: chosen,
    });
    expect([wrong.status, wrong.body.code]).to.deep.equal([401, 'credentials_invalid']);

    await here
      .post('/auth/password/change', { currentPassword: ada.password, newPassword: chosen })
      .expect(204);
    await here.get('/auth/profile').expect(200);
    await there.get('/auth/profile').expect(401);
    await anyone()
      .post('/auth/sign-in', { ...ada, password: chosen })
      .expect(200);
    await next(ada.email, 'password-changed');
  });

  it('lets one of two that are sent at once win', async () => {
    const { as, connection } = await mailWorld();
    const here = await as(ada.email);
    const answers = await Promise.all(
      times(4, (index) =>
        here.post('/auth/password/change', {
          currentPassword: ada.password,
          newPassword: `${chosen}-${index}`,
        }),
      ),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 204: 1, 401: 3 });
    expect(await AuditEntries(connection).countDocuments({ action: 'password.changed' })).to.equal(1);
  });

  it('refuses a common password, one that is the address, and one that is too short, with the path newPassword', async () => {
    const { as } = await mailWorld();
    const here = await as(ada.email);
    for (const newPassword of ['password1', ada.email, 'short']) {
      const { status, body } = await here.post('/auth/password/change', {
        currentPassword: ada.password,
        newPassword,
      });
      expect([status, body.errors?.[0].path], newPassword).to.deep.equal([400, 'newPassword']);
    }
  });

  it('makes a sign-in that overlaps it die with it', async () => {
    const { anyone, as } = await mailWorld();
    const here = await as(ada.email);
    const [change, ...signIns] = await Promise.all([
      here.post('/auth/password/change', { currentPassword: ada.password, newPassword: chosen }),
      ...times(6, () => anyone().post('/auth/sign-in', ada)),
    ]);
    expect(change.status).to.equal(204);
    for (const { status, body } of signIns) {
      expect(status).to.be.oneOf([200, 401]);
      if (status !== 200) continue;
      const profile = await anyone().get('/auth/profile').set('Authorization', `Bearer ${body.accessToken}`);
      expect(profile.status).to.equal(401);
    }
  });
});
