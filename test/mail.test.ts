import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { MailMessage, SharedOptions } from '../lib/index.js';
import { createUser, startWorker, Users } from '../lib/index.js';
import { defaultTemplates } from '../lib/mail/templates.js';
import { mailKinds } from '../lib/runtime/mail.js';
import { mailbox, mailWorld, publicUrl, tokenIn } from './support/mailbox.js';
import { startSmtp } from './support/smtp.js';
import { atEnd, inspector, secret, until, world } from './support/world.js';

const ada = 'ada@example.com';
const outbox = () => inspector().collection('tollgate_outbox');

/** The world with a worker that delivers its mails to a real SMTP server. */
async function smtpWorld(options: Partial<SharedOptions> = {}) {
  const smtp = await startSmtp();
  const mailFrom = '"Acme, Inc." <hello@acme.example>';
  const made = await world({ smtpUrl: smtp.url, mailFrom, publicUrl, ...options });
  const worker = await startWorker({ ...made.shared, cleanupHours: 0, onError() {} });
  atEnd(() => worker.stop());
  return { ...made, smtp };
}

/** The world with a worker that gives its mails to `mail`. */
async function ownWorld(mail: (message: MailMessage) => Promise<void>) {
  const made = await world({ mail, publicUrl });
  const worker = await startWorker({ ...made.shared, cleanupHours: 0, onError() {} });
  atEnd(() => worker.stop());
  return made;
}

/** As if time had passed: what waits for its next attempt is due now, and the workers look. */
async function makeDue(): Promise<void> {
  await outbox().updateMany({}, { $set: { dueAt: new Date(0) } });
  await inspector()
    .collection('tollgate_revocations')
    .insertOne({ subjects: ['outbox'], at: new Date() });
}

describe('a mail', () => {
  it('goes out by SMTP with sender, recipient, subject, both parts and a Message-ID, and its link works', async () => {
    const { anyone, smtp } = await smtpWorld({ appName: 'Acme' });
    await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
    const { recipients, email, raw } = await smtp.next();

    expect(recipients).to.deep.equal([ada]);
    expect(email.from).to.deep.equal({ name: 'Acme, Inc.', address: 'hello@acme.example' });
    expect(email.to).to.deep.equal([{ name: '', address: ada }]);
    expect(email.subject).to.equal('Reset your password');
    expect(email.messageId).to.match(/^<[0-9a-f]{24}@app\.example\.com>$/);
    expect(raw.match(/^Message-ID:/gim)).to.have.length(1);
    expect(email.text).to.match(
      /^Hello Ada,\n\nSomebody, perhaps you, asked to reset your password at Acme\./,
    );
    const token = tokenIn({ text: email.text } as MailMessage);
    expect(email.html).to.include(`<a href="${publicUrl}/account/reset-password?token=${token}">`);
    expect(email.attachments).to.deep.equal([]);
    await anyone().post('/auth/password/verify-token', { token }).expect(204);
  });

  it('has the words of the application’s own template, whole or in part', async () => {
    const whole = { subject: 'Hi <%= it.name %>', text: 'T <%= it.link %>', html: '<i><%= it.link %></i>' };
    const templates = { 'reset-password': whole, otp: { subject: '<%= it.appName %>: code' } };
    const { anyone, smtp } = await smtpWorld({ templates, appName: 'Acme & Sons' });
    await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
    const reset = (await smtp.next()).email;
    expect(reset.subject).to.equal('Hi Ada');
    expect(reset.text).to.match(/^T http:\/\/app\.example\.com\/account\/reset-password\?token=\S+\n+$/);
    expect(reset.html?.trim()).to.match(/^<i>http\S+<\/i>$/);

    await anyone().post('/auth/otp/send', { email: ada }).expect(202);
    const otp = (await smtp.next()).email;
    expect(otp.subject).to.equal('Acme & Sons: code');
    expect(otp.text)
      .to.match(/^Your code to sign in to Acme & Sons:$/m)
      .and.match(/^\d{6}$/m);
    expect(otp.html)
      .to.include('Acme &amp; Sons')
      .and.match(/>\d{6}</);
  });

  for (const [what, name, shown] of [
    ['HTML', '<img src=x onerror=alert(1)>"\'&', '<img src=x onerror=alert(1)>"\'&'],
    [
      'line breaks',
      'Ada\r\nBcc: eve@example.com\r\n\r\nhttp://evil.example/',
      'Ada Bcc: eve@example.com http://evil.example/',
    ],
    ['a separator of lines', 'Ada\u2028\u0085\u000bhttp://evil.example/', 'Ada http://evil.example/'],
    [
      'a comma and an address',
      'Ada, eve@example.com, "<eve@example.com>"',
      'Ada, eve@example.com, "<eve@example.com>"',
    ],
    ['the syntax of templates', '<%= it.email %>', '<%= it.email %>'],
  ] as const) {
    // biome-ignore format: a table
    it(`takes a name with ${what} for a name, in headers and in both parts`, async () => {
      const templates = { 'reset-password': { subject: 'For <%= it.name %>' } };
      const { anyone, smtp, connection } = await smtpWorld({ templates });
      await Users(connection).updateOne({ email: ada }, { name });
      await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
      const { recipients, email, raw } = await smtp.next();

      expect(recipients).to.deep.equal([ada]);
      expect(email.to).to.deep.equal([{ name: '', address: ada }]);
      expect([email.cc, email.bcc]).to.deep.equal([undefined, undefined]);
      expect(email.subject).to.equal(`For ${shown}`);
      expect(email.text?.split('\n')[0]).to.equal(`Hello ${shown},`);
      expect(email.text?.match(/^http\S+/gm)).to.have.length(1);
      expect(email.html).not.to.include('<img').and.not.include('<eve');
      expect(raw.split('\r\n\r\n')[0]).not.to.match(/^(bcc|cc):/im);
    });
  }

  it('goes to an address with every character that one may have, and to nobody else', async () => {
    const { anyone, smtp, shared } = await smtpWorld();
    for (const email of [
      "o'brien+a=b|c{d}!#$%&*/?^_`~@example.com",
      'grace@xn--bcher-kva.example',
      'dаvid@example.com',
    ]) {
      await createUser({ ...shared, email, emailVerified: true });
      await anyone().post('/auth/password/forgot', { email }).expect(202);
      const taken = await smtp.next();
      expect(taken.recipients).to.deep.equal([email]);
      expect(taken.email.to).to.deep.equal([{ name: '', address: email }]);
    }
  });

  it('is not sent when its link is not good any more, which onError hears of', async () => {
    const { as, anyone, connection, acme } = await world({ mail: async () => {}, publicUrl });
    for (const path of ['signup', 'signup/send-link', 'password/forgot', 'otp/send']) {
      const person = path === 'signup' ? { password: 'cobol-forever' } : {};
      const email = path.startsWith('signup') ? 'grace@example.com' : ada;
      await anyone()
        .post(`/auth/${path}`, { email, ...person })
        .expect(202);
    }
    const owner = await as(ada);
    await owner.post(`/organizations/${acme}/invitations`, { email: 'eve@example.com' }).expect(201);
    const links = (await outbox().find().toArray()).map(({ _id, kind }) => `${_id} (${kind})`);
    for (const path of ['signup/send-link', 'password/forgot', 'otp/send'])
      await anyone().post(`/auth/${path}`, { email: 'nobody@example.com' }).expect(202); // who has no link to lose
    expect(links).to.have.length(5);
    const expiresAt = new Date(Date.now() - 1);
    for (const name of ['invitations', 'tollgate_one_time_tokens'])
      await inspector().collection(name).updateMany({}, { $set: { expiresAt } });
    const { sent, mail } = mailbox();
    const heard: string[] = [];
    const onError = ({ message }: Error) => void heard.push(message);
    const worker = await startWorker({
      connection,
      keys: [secret],
      mail,
      publicUrl,
      cleanupHours: 0,
      onError,
    });
    atEnd(() => worker.stop());
    await until(async () => (await outbox().countDocuments()) === 0);
    expect(sent).to.deep.equal([]);
    const why = 'its link or code has expired or been used while it waited';
    expect(heard.sort()).to.deep.equal(links.map((mail) => `The mail ${mail} is not sent: ${why}`).sort());
  });

  it('is given to the application’s own function where it has one, as documented', async () => {
    const { anyone, next } = await mailWorld({ mailFrom: 'us@example.com' });
    await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
    const message = await next(ada, 'reset-password');
    expect(message).to.have.all.keys('kind', 'from', 'to', 'subject', 'text', 'html', 'messageId');
    expect(message).to.include({ kind: 'reset-password', from: 'us@example.com', to: ada });
    expect(message.messageId).to.match(/^<[0-9a-f]{24}@app\.example\.com>$/);
  });

  it('is sent again with the same Message-ID after the server has refused it', async () => {
    const { anyone, smtp } = await smtpWorld();
    smtp.refuse('try later');
    await anyone().post('/auth/otp/send', { email: ada }).expect(202);
    await until(async () => (await outbox().countDocuments({ lastError: /try later/ })) === 1);
    const waiting = await outbox().findOne();
    expect(waiting).to.include({ attempts: 1, failedAt: null });
    await makeDue();
    expect((await smtp.next()).email.messageId).to.equal(`<${waiting?._id}@app.example.com>`);
  });

  it('is given to the own function again, the very same, after that has thrown', async () => {
    const attempts: MailMessage[] = [];
    const own = await ownWorld(async (message) => {
      attempts.push(message);
      if (attempts.length < 3) throw new Error(`not now ${attempts.length}`);
    });
    await own.anyone().post('/auth/otp/send', { email: ada }).expect(202);
    for (const failed of [1, 2]) {
      await until(async () => (await outbox().countDocuments({ lastError: `not now ${failed}` })) === 1);
      await makeDue();
    }
    await until(async () => (await outbox().countDocuments()) === 0);
    expect(attempts).to.have.length(3);
    expect(new Set(attempts.map((message) => JSON.stringify(message)))).to.have.property('size', 1);
  });

  it('is given up after ten attempts, and stays to be seen with the last error and without its link', async () => {
    const sent: MailMessage[] = [];
    const { anyone } = await ownWorld(async (message) => {
      sent.push(message);
      throw new Error(`refused ${sent.length}`);
    });
    await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 10; attempt += 1) {
      await until(async () => (await outbox().countDocuments({ lastError: `refused ${attempt}` })) === 1);
      const row = await outbox().findOne();
      delays.push(Math.round((row?.dueAt - Date.now()) / 1000));
      await makeDue();
    }
    for (const [index, delay] of delays.entries())
      expect(delay).to.be.within(5 * 2 ** index - 5, 5 * 2 ** index);

    await anyone().post('/auth/otp/send', { email: 'nobody@example.com' }).expect(202);
    await until(async () => (await outbox().countDocuments({ kind: 'otp' })) === 0); // whoever works has looked at all that is due
    expect(sent).to.have.length(10);
    const row = await outbox().findOne();
    expect(row).to.include({ kind: 'reset-password', to: ada, attempts: 10, lastError: 'refused 10' });
    expect(row?.failedAt).to.be.instanceOf(Date);
    expect(JSON.stringify(row)).not.to.include(tokenIn(sent[0] as MailMessage));
  });
});

describe('the page about mail', () => {
  it('lists every mail, with all the data that our template of it uses', async () => {
    const page = await readFile(new URL('../docs/mail.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z-]+)` \| .* \|(.*)\|$/gm)];
    const listed = new Map(rows.map(([, kind, data]) => [kind, data]));
    const everyMail = ['appName', 'email', 'name'];
    for (const kind of mailKinds) {
      expect([...listed.keys()]).to.include(kind);
      const { subject, text, html } = defaultTemplates[kind];
      const used = [...`${subject}${text}${html}`.matchAll(/\bit\.(\w+)/g)].map(([, name]) => String(name));
      for (const name of used)
        if (!everyMail.includes(name)) expect(listed.get(kind), kind).to.include(`\`${name}\``);
    }
  });
});
