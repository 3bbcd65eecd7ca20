import { createHash, createHmac } from 'node:crypto';
import { expect } from 'chai';
import { generateSync } from 'otplib';
import { Outbox, Users } from '../lib/index.js';
import { authenticator } from './support/authenticator.js';
import { mailWorld, publicUrl } from './support/mailbox.js';
import { inspector, world } from './support/world.js';

const email = 'ada@example.com';
const botToken = '4242:the-secret-of-the-bot-of-the-tests';
const passkeys = { passkeys: true, publicUrl: 'https://app.example.com' };

let shown = 0;

/** What Telegram's widget gives (core.telegram.org/widgets/login). */
function widget(id = 4242) {
  shown += 1; // each is good once
  const told = { id, auth_date: Math.floor(Date.now() / 1000), first_name: `Ada ${shown}` };
  const lines = Object.entries(told).map(([name, value]) => `${name}=${value}`);
  const key = createHash('sha256').update(botToken).digest();
  return { ...told, hash: createHmac('sha256', key).update(lines.sort().join('\n')).digest('hex') };
}

const notices = () => Outbox(inspector()).countDocuments({ kind: /^credential-/ });

describe('a mail about a way to sign in', () => {
  it('tells the owner of an authenticator app, a passkey or an account elsewhere that is added or removed', async () => {
    const { as, next, sent } = await mailWorld({ ...passkeys, providers: { telegram: { botToken } } });
    const ada = await as(email);
    const device = authenticator();

    await ada.post('/auth/providers/telegram', widget()).expect(200);
    const linked = await next(email, 'credential-added');
    expect(linked.subject).to.equal('There is another way to sign in to your account');
    expect(linked.text).to.include('with an account at telegram too. If it was not you');

    const options = (await ada.post('/auth/passkeys/options').expect(200)).body;
    const made = device.create(options, { origin: passkeys.publicUrl });
    const { body: passkey } = await ada.post('/auth/passkeys', made).expect(201);
    expect((await next(email, 'credential-added')).text).to.include('with a passkey too');

    const { secret } = (await ada.post('/auth/totp').expect(201)).body;
    expect(sent).to.deep.equal([]); // nothing to sign in by yet
    await ada.post('/auth/totp/confirm', { code: generateSync({ secret }) }).expect(200);
    expect((await next(email, 'credential-added')).text).to.include('with an authenticator app too');

    await ada.delete('/auth/totp').expect(204);
    expect((await next(email, 'credential-removed')).text).to.include('with an authenticator app any more');
    await ada.delete(`/auth/passkeys/${passkey.id}`).expect(204);
    expect((await next(email, 'credential-removed')).text).to.include('with a passkey any more');
    await ada.delete('/auth/providers/telegram').expect(204);
    expect((await next(email, 'credential-removed')).text).to.include('with an account at telegram any more');
    expect(sent).to.deep.equal([]);
  });

  it('is stored only with the change itself, and where there is mail', async () => {
    const { as, shared } = await world({
      mail: async () => {},
      publicUrl,
      providers: { telegram: { botToken } },
    });
    const [ada, bob] = [await as(email), await as('bob@example.com')];
    await ada.post('/auth/providers/telegram', widget()).expect(200);
    expect(await notices()).to.equal(1);
    await ada.post('/auth/providers/telegram', widget()).expect(200); // linked already
    await bob.post('/auth/providers/telegram', widget()).expect(409);
    await Users(inspector()).updateOne({ email }, { password: null });
    await ada.delete('/auth/providers/telegram').expect(409); // the last way to sign in
    await ada.delete('/auth/totp').expect(404);
    expect(await notices()).to.equal(1);
    expect(shared.mail).to.be.a('function');

    const silent = await world({ providers: { telegram: { botToken } } });
    await (await silent.as(email)).post('/auth/providers/telegram', widget()).expect(200);
    expect(await notices()).to.equal(0);
  });
});
