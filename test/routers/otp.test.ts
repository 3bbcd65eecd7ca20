import { expect } from 'chai';
import { ApiKeys, AuditEntries, createApiKey, createUser, OneTimeTokens, Users } from '../../lib/index.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import { atEnd, countBy, inspector, times, until } from '../support/world.js';

const email = 'ada@example.com';
const mailing = {
  publicUrl: 'http://app.example.com',
  smtpUrl: 'smtp://127.0.0.1:1',
  mailFrom: 'us@example.com',
};

async function withCode(options = {}) {
  const made = await mailWorld(options);
  await made.anyone().post('/auth/otp/send', { email }).expect(202);
  return { ...made, code: await made.codeOf(email) };
}

describe('a code by mail', () => {
  it('signs in once, with the factor otp', async () => {
    const { anyone, code, connection } = await withCode();
    const { body } = await anyone().post('/auth/otp/verify', { email, code }).expect(200);
    expect(body.user.email).to.equal(email);
    const again = await anyone().post('/auth/otp/verify', { email, code }).expect(401);
    expect(again.body.code).to.equal('credentials_invalid');
    expect(await OneTimeTokens(connection).countDocuments({ email })).to.equal(0);
  });

  it('gives one session though it is presented 50 times at once to two processes', async () => {
    const { code } = await withCode();
    const processes = await startProcesses(2, mailing);
    const answers = await Promise.all(
      times(50, (index) =>
        (processes[index % 2] as (typeof processes)[0])
          .withHeaders({})
          .post('/auth/otp/verify', { email, code }),
      ),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 1, 401: 49 });
  });

  it('is refused for another account, after 15 minutes, after a change of credentials, and when it is no code', async () => {
    const { anyone, code, connection } = await withCode();
    for (const bad of [
      { email: 'bob@example.com', code }, { email: 'nobody@example.com', code }, { email, code: '' }, { email, code: '12345' }, { email, code: `${code}0` },
      { email, code: { $ne: '' } }, { email, code: Number(code) }, { email, code: [code] },
    ]) // biome-ignore format: a table
      expect((await anyone().post('/auth/otp/verify', bad)).status, JSON.stringify(bad)).to.be.oneOf([
        400, 401,
      ]);
    await Users(connection).updateOne({ email }, { $inc: { credentialEpoch: 1 } });
    await anyone().post('/auth/otp/verify', { email, code }).expect(401);

    const fresh = await withCode();
    await OneTimeTokens(fresh.connection).updateMany({ email }, { expiresAt: new Date(Date.now() - 1) });
    await fresh.anyone().post('/auth/otp/verify', { email, code: fresh.code }).expect(401);
  });

  it('is six digits alone on a line, and stands nowhere in the database', async () => {
    const { code, connection } = await withCode();
    expect(code).to.match(/^\d{6}$/);
    expect(JSON.stringify(await OneTimeTokens(connection).find({ email }).lean())).not.to.include(code);
  });

  it('is asked for alike by unknown and deactivated addresses, which get no mail', async () => {
    const { anyone, connection, sent } = await mailWorld();
    await Users(connection).updateOne({ email: 'bob@example.com' }, { status: 'inactive' });
    for (const to of ['nobody@example.com', 'bob@example.com']) {
      await anyone().post('/auth/otp/send', { email: to }).expect(202, { status: 'sent' });
    }
    await until(async () => (await inspector().collection('tollgate_outbox').countDocuments()) === 0);
    expect(sent).to.deep.equal([]);
  });

  it('stays good when another one was asked for', async () => {
    const { anyone, code, codeOf } = await withCode();
    await anyone().post('/auth/otp/send', { email }).expect(202);
    const second = await codeOf(email);
    await anyone().post('/auth/otp/verify', { email, code }).expect(200);
    await anyone().post('/auth/otp/verify', { email, code: second }).expect(200);
  });

  it('proves the address of an account: an unproved password and its sessions go', async () => {
    const { anyone, shared, codeOf, connection } = await mailWorld();
    await createUser({ ...shared, email: 'grace@example.com', password: 'chosen-by-mallory' });
    await anyone().post('/auth/otp/send', { email: 'grace@example.com' }).expect(202);
    const code = await codeOf('grace@example.com');
    const { body } = await anyone()
      .post('/auth/otp/verify', { email: 'grace@example.com', code })
      .expect(200);
    expect(body.user.emailVerified).to.equal(true);
    expect((await Users(connection).findOne({ email: 'grace@example.com' }).lean())?.password).to.equal(null);
  });

  it('deletes the API keys that were made before its address was proved, and the audit log has each, or nothing happens', async () => {
    const { anyone, shared, codeOf, connection } = await mailWorld();
    const email = 'grace@example.com';
    const { id: userId } = await createUser({ ...shared, email, password: 'chosen-by-mallory' });
    const made = await Promise.all(
      times(2, (index) => createApiKey({ ...shared, userId, name: `of mallory ${index}` })),
    );
    const verify = async () => {
      await anyone().post('/auth/otp/send', { email }).expect(202);
      return anyone().post('/auth/otp/verify', { email, code: await codeOf(email) });
    };
    const collMod = AuditEntries(connection).collection.collectionName;
    const validate = (validator: object) => inspector().db?.command({ collMod, validator });
    atEnd(async () => validate({}));
    await validate({ action: { $ne: 'api-key.deleted' } });
    expect((await verify()).status).to.equal(500);
    expect(await ApiKeys(inspector()).countDocuments({ deletedAt: null })).to.equal(2);
    await validate({});
    expect((await verify()).status).to.equal(200);
    expect(await ApiKeys(inspector()).countDocuments({ deletedAt: null })).to.equal(0);
    const entries = await AuditEntries(inspector()).find({ action: 'api-key.deleted' }).lean();
    const facts = entries.map(({ actor, target, details, ip }) => ({ actor, target, details, ip }));
    expect(facts).to.have.deep.members(
      made.map(({ id, name, prefix }) => ({
        actor: userId,
        target: { type: 'api-key', id },
        details: { name, prefix },
        ip: '127.0.0.1',
      })),
    );
  });
});
