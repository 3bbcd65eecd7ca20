import { expect } from 'chai';
import { generateSync } from 'otplib';
import { AuditEntries } from '../../lib/index.js';
import { authenticator } from '../support/authenticator.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import { inspector, times, world } from '../support/world.js';

const email = 'ada@example.com';
const password = 'lovelace-1815';
const publicUrl = 'https://app.example.com';

/** Entries of what was refused, as far as the log says what, why, of whom and from where. */
const refusals = async () =>
  (
    await AuditEntries(inspector())
      .find({ action: /failed|refused|exhausted/ })
      .sort({ _id: 1 })
      .lean()
  ).map(({ action, target, details, ip, requestId }) => {
    expect([ip, typeof requestId]).to.deep.equal(['127.0.0.1', 'string']);
    return [action, (details as { route: string }).route, target?.id ?? null];
  });

describe('what is refused', () => {
  it('is in the audit log: wrong passwords, codes, recovery codes and passkeys, with whose they were to be', async () => {
    const { as, anyone, signIn } = await mailWorld({ passkeys: true, publicUrl, accessTtl: 900 });
    const ada = await as(email);
    const { id } = (await ada.get('/auth/profile')).body;
    const device = authenticator();
    const made = device.create((await ada.post('/auth/passkeys/options')).body, { origin: publicUrl });
    await ada.post('/auth/passkeys', made).expect(201);

    await anyone().post('/auth/sign-in', { email, password: 'wrong-guess' }).expect(401);
    await anyone().post('/auth/sign-in', { email: 'eve@example.com', password: 'wrong-guess' }).expect(401);
    await anyone().post('/auth/otp/verify', { email, code: '000000' }).expect(401);
    await anyone().post('/auth/otp/verify', { email: 'eve@example.com', code: '000000' }).expect(401);
    const asked = async () => (await anyone().post('/auth/passkeys/sign-in/options').expect(200)).body;
    const elsewhere = { origin: 'https://evil.example' };
    await anyone()
      .post('/auth/passkeys/sign-in', device.get(await asked(), elsewhere))
      .expect(401);
    const another = authenticator();
    another.create((await ada.post('/auth/passkeys/options')).body, { origin: publicUrl });
    const unknown = another.get(await asked(), { origin: publicUrl });
    await anyone().post('/auth/passkeys/sign-in', unknown).expect(401);
    await ada.post('/auth/reauthenticate', { password: 'wrong-guess' }).expect(401);
    const change = { currentPassword: 'wrong-guess', newPassword: 'another long one' };
    await ada.post('/auth/password/change', change).expect(401);
    const { secret } = (await ada.post('/auth/totp').expect(201)).body;
    await ada.post('/auth/totp/confirm', { code: 'abcdef' }).expect(401);
    await ada.post('/auth/totp/confirm', { code: generateSync({ secret }) }).expect(200);
    const { challenge } = (await signIn(email).expect(401)).body;
    await anyone().post('/auth/second-factor', { challenge, code: '000000' }).expect(401);
    await anyone().post('/auth/second-factor', { challenge, code: 'aaaa-bbbb-cccc' }).expect(401);

    expect(await refusals()).to.deep.equal([
      ['user.sign-in-failed', 'sign-in', id],
      ['user.sign-in-failed', 'sign-in', null],
      ['user.sign-in-failed', 'otp', id],
      ['user.sign-in-failed', 'otp', null],
      ['user.sign-in-failed', 'passkey', id],
      ['user.sign-in-failed', 'passkey', null],
      ['user.reauthentication-failed', 'password', id],
      ['password.change-failed', 'password', id],
      ['factor.totp-refused', 'totp', id],
      ['user.sign-in-failed', 'totp', id],
      ['user.sign-in-failed', 'totp', id],
    ]);
    const log = JSON.stringify(await AuditEntries(inspector()).find().lean());
    for (const typed of ['wrong-guess', '000000', 'abcdef', 'eve@example.com', password])
      expect(log).not.to.include(typed);
  });

  it('for an exhausted budget is there once, however often and in however many processes it is tried', async () => {
    const limited = { credentialRate: '5/minute', publicUrl };
    const { shared } = await world(limited);
    expect(shared.credentialRate).to.equal('5/minute');
    const processes = await startProcesses(2, limited);
    const guess = (index: number) =>
      (processes[index % 2] as (typeof processes)[0])
        .withHeaders({})
        .post('/auth/sign-in', { email, password: 'wrong-guess' });
    const answers = await Promise.all(times(12, guess));
    expect(answers.filter(({ status }) => status === 401)).to.have.length(5);
    for (const index of times(4, (each) => each)) await guess(index).expect(429);

    const exhausted = async () => (await refusals()).filter(([action]) => action === 'guesses.exhausted');
    expect(await exhausted()).to.have.length(1);
    expect((await refusals()).filter(([action]) => action === 'user.sign-in-failed')).to.have.length(5);

    const budgets = inspector().collection('tollgate_budgets');
    await budgets.updateMany({}, { $set: { resetsAt: new Date(0), notBefore: null } }); // the next minute
    await Promise.all(times(8, guess));
    expect(await exhausted()).to.have.length(2);
    const [entry] = await AuditEntries(inspector()).find({ action: 'guesses.exhausted' }).lean();
    expect(entry?.details).to.deep.equal({ route: 'sign-in', budget: 'address' });
  });
});
