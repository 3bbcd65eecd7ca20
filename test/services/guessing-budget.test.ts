import { expect } from 'chai';
import { demoApp } from '../../examples/demo/app.js';
import type { SharedOptions } from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { deviceOf, withDevice } from '../../lib/runtime/known-devices.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import { type Client, clientsOf, countBy, inspector, secret, serve, times, world } from '../support/world.js';

const ada = { email: 'ada@example.com', password: 'lovelace-1815' };
const wrong = { ...ada, password: 'wrong-guess' };
const limited: Partial<SharedOptions> = {
  credentialRate: '5/minute',
  mailRate: '5/minute',
  trustedProxies: 1,
};

const budgets = () => inspector().collection('tollgate_budgets');

/** As somebody at this address, behind our one proxy. */
const from = (made: { withHeaders(headers: Record<string, string>): Client }, address: string, more = {}) =>
  made.withHeaders({ 'X-Forwarded-For': address, ...more });

const guessAt = (client: Client, credentials: object = wrong) => client.post('/auth/sign-in', credentials);

async function statuses(count: number, guess: (index: number) => PromiseLike<{ status: number }>) {
  const seen: number[] = [];
  for (const index of times(count, (each) => each)) seen.push((await guess(index)).status);
  return seen;
}

describe('guessing a password', () => {
  it('is refused with 429 and Retry-After after five wrong guesses, the right one too', async () => {
    const made = await world(limited);
    const client = from(made, '192.0.2.1');
    expect(await statuses(6, () => guessAt(client))).to.deep.equal([401, 401, 401, 401, 401, 429]);
    const { status, body, headers } = await guessAt(client, ada);
    expect([status, body.code]).to.deep.equal([429, 'rate_limited']);
    expect(Number(headers['retry-after'])).to.be.within(1, 60);
    expect(JSON.stringify(body)).not.to.match(/mongo|budget|account|192\.0\.2/i);
  });

  it('is judged five times at most in a burst of four times as many, in one process and in two', async () => {
    const made = await world(limited);
    const burst = await Promise.all(times(20, () => guessAt(from(made, '192.0.2.1'))));
    expect(countBy(burst, 'status')).to.deep.equal({ 401: 5, 429: 15 });

    await budgets().deleteMany({});
    const processes = await startProcesses(2, limited);
    const answers = await Promise.all(
      times(20, (index) => guessAt(from(processes[index % 2] as (typeof processes)[0], '192.0.2.1'))),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 401: 5, 429: 15 });
  });

  it('goes on being counted while keys change', async () => {
    const next = 'another secret of more than thirty-two bytes';
    const made = await world(limited);
    let hosts = 0;
    const wrongBy = async (...keys: string[]) => {
      const client = clientsOf(await serve(demoApp({ ...made.shared, keys })));
      hosts += 1; // in the networks of strangers, so that only the budget of the account can be exhausted
      return (await guessAt(from(client, `10.0.0.${hosts}`))).status;
    };
    const seen = [await wrongBy(secret), await wrongBy(secret), await wrongBy(secret, next)];
    for (const _ of times(4, (each) => each)) seen.push(await wrongBy(next, secret));
    expect(seen).to.deep.equal([401, 401, 401, 401, 401, 429, 429]);
    for (const _ of times(3, (each) => each)) seen.push(await wrongBy(next)); // has counted from the second step on
    expect(seen.slice(7)).to.deep.equal([401, 401, 429]);
  });

  it('costs nothing when it is right: many at once behind one address all sign in', async () => {
    const made = await world(limited);
    const answers = await Promise.all(times(20, () => guessAt(from(made, '192.0.2.1'), ada)));
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 20 });
    expect(await budgets().countDocuments({ $or: [{ spent: { $gt: 0 } }, { held: { $gt: 0 } }] })).to.equal(
      0,
    );
  });

  it('is limited by the address that our proxy saw, whatever a client writes to the left of it', async () => {
    const made = await world(limited);
    const seen = await statuses(7, (index) =>
      guessAt(from(made, `10.0.0.${index}, 192.0.2.1`), { ...wrong, email: `u${index}@example.com` }),
    );
    expect(seen).to.deep.equal([401, 401, 401, 401, 401, 429, 429]);
  });

  it('is limited by the network of an IPv6 address, of which one person has very many', async () => {
    const made = await world(limited);
    const seen = await statuses(6, (index) =>
      guessAt(from(made, `2001:db8::${index + 1}`), { ...wrong, email: `u${index}@example.com` }),
    );
    expect(seen).to.deep.equal([401, 401, 401, 401, 401, 429]);
    expect((await guessAt(from(made, '2001:db8:0:1::1'))).status).to.equal(401);
  });

  it('by a botnet is limited for the account, and the owner signs in from a device that is known', async () => {
    const made = await world(limited);
    const first = await guessAt(from(made, '198.51.100.7'), ada).expect(200);
    const cookie = (first.headers['set-cookie'] as unknown as string[]).find((each) =>
      each.startsWith('device='),
    ) as string;
    const home = { Cookie: cookie.split(';')[0] as string };

    const seen = await statuses(24, (index) => guessAt(from(made, `10.${index}.0.1`)));
    expect(seen.slice(0, 20)).to.deep.equal(times(20, () => 401));
    expect(seen.slice(20)).to.include(429);
    expect((await guessAt(from(made, '198.51.100.7', home), ada)).status).to.equal(200);
    expect(
      (await guessAt(from(made, '203.0.113.9'), { email: 'bob@example.com', password: 'builder-1999' }))
        .status,
    ).to.equal(200);
  });

  it('by a botnet becomes ever slower, but never locks: the owner may try from anywhere when the wait is over', async () => {
    const made = await world(limited);
    await statuses(20, (index) => guessAt(from(made, `10.${index}.0.1`)));
    const due = { key: /strangers$/ };
    const wait = async () => {
      const budget = await budgets().findOne({ _id: due.key as never });
      return Math.round((budget?.notBefore.getTime() - budget?.at.getTime()) / 1000);
    };
    const over = () => budgets().updateOne({ _id: due.key as never }, { $set: { notBefore: new Date(0) } });
    const waits = [await wait()];
    for (const index of times(3, (each) => each)) {
      await over();
      expect((await guessAt(from(made, `10.${100 + index}.0.1`))).status).to.equal(401);
      expect((await guessAt(from(made, `10.${200 + index}.0.1`))).status).to.equal(429);
      waits.push(await wait());
    }
    for (const [index, seconds] of waits.entries())
      expect(seconds).to.be.within(2 ** index - 1, 2 ** index + 1);
    await over();
    expect((await guessAt(from(made, '203.0.113.9'), ada)).status).to.equal(200);
  });

  it('says when a point will be there again, and writes nothing about accounts for an address that has none', async () => {
    const made = await world(limited);
    const client = from(made, '192.0.2.1');
    await statuses(5, (index) => guessAt(client, { ...wrong, email: `u${index}@example.com` }));
    const before = await budgets().countDocuments();
    const { headers } = await guessAt(client, { ...wrong, email: 'one-more@example.com' }).expect(429);
    expect(await budgets().countDocuments()).to.equal(before);
    const budget = await budgets().findOne({ _id: 'sign-in address 192.0.2.1/32' as never });
    const left = (budget?.resetsAt.getTime() - budget?.at.getTime()) / 1000;
    expect(Number(headers['retry-after'])).to.be.closeTo(left, 2);
  });

  it('looks at four of the devices that a cookie names, however many there are', async () => {
    const [key] = [readKey(secret, 'HS256')];
    const mine = withDevice(undefined, ada.email, [key]);
    const others = times(3, (index) => withDevice(undefined, `u${index}@example.com`, [key]));
    expect(deviceOf([...others, mine].join('~'), ada.email, [key])).to.be.a('string');
    expect(deviceOf([...others, ...others, mine].join('~'), ada.email, [key])).to.equal(undefined);
  });

  it('is limited in one network though the addresses change', async () => {
    const made = await world(limited);
    const seen = await statuses(7, (index) => guessAt(from(made, `10.0.0.${index + 1}`)));
    expect(seen).to.deep.equal([401, 401, 401, 401, 401, 429, 429]);
  });

  it('is limited alike for accounts that do not exist', async () => {
    const made = await world(limited);
    const answers = async (email: string, network: number) => {
      const all = [];
      for (const index of times(7, (each) => each)) {
        const { status, body, headers } = await guessAt(from(made, `10.${network}.0.${index + 1}`), {
          ...wrong,
          email,
        });
        all.push([status, body.code, body.title, body.detail?.replace(/\d+/, 'n'), Object.keys(headers)]);
      }
      return all;
    };
    expect(await answers('nobody@example.com', 1)).to.deep.equal(await answers(ada.email, 2));
    expect(JSON.stringify(await budgets().find().toArray())).not.to.include('example.com');
  });

  it('begins anew when the minute is over, after a right password, and after a reset', async () => {
    const made = await mailWorld(limited);
    const [client, other] = [from(made, '192.0.2.1'), from(made, '203.0.113.1')];
    await statuses(5, () => guessAt(client));
    await budgets().updateMany({}, { $set: { resetsAt: new Date(Date.now() - 1) } });
    expect(await statuses(5, () => guessAt(client))).to.deep.equal(times(5, () => 401));
    expect((await guessAt(other, ada)).status).to.equal(200);
    expect(await budgets().countDocuments({ account: { $ne: null }, spent: { $gt: 0 } })).to.equal(0);
    expect((await guessAt(client)).status).to.equal(429); // of the address nothing is forgiven

    await statuses(4, () => guessAt(other));
    await other.post('/auth/password/forgot', { email: ada.email }).expect(202);
    const token = await made.tokenOf(ada.email, 'reset-password');
    await other.post('/auth/password/reset', { token, password: 'difference-engine' }).expect(204);
    expect(await budgets().countDocuments({ _id: /^sign-in account/ as never, spent: { $gt: 0 } })).to.equal(
      0,
    );
  });

  it('does not hold for ever what a process held when it died', async () => {
    const made = await world(limited);
    await guessAt(from(made, '192.0.2.1'));
    await budgets().updateMany({}, { $set: { held: 5, heldUntil: new Date(Date.now() - 1) } });
    expect((await guessAt(from(made, '192.0.2.1'), ada)).status).to.equal(200);
  });

  it('does not count a right password of an address that is not proved', async () => {
    const made = await world(limited);
    await inspector()
      .collection('users')
      .updateOne({ email: ada.email }, { $set: { emailVerified: false } });
    expect(await statuses(7, () => guessAt(from(made, '192.0.2.1'), ada))).to.deep.equal(times(7, () => 403));
  });
});

describe('guessing a code', () => {
  it('counts for the account, however many codes it has', async () => {
    const made = await mailWorld({ ...limited, credentialRate: '3/minute' });
    const send = (index: number) =>
      from(made, `10.${index}.0.1`).post('/auth/otp/send', { email: ada.email });
    await send(1).expect(202);
    const right = await made.codeOf(ada.email);
    const bad = right === '000000' ? '111111' : '000000';
    const guess = (code: string) =>
      from(made, '192.0.2.9').post('/auth/otp/verify', { email: ada.email, code });
    expect(await statuses(2, () => guess(bad))).to.deep.equal([401, 401]);
    await send(2).expect(202);
    expect(await statuses(3, () => guess(bad))).to.deep.equal([401, 429, 429]);
    expect((await guess(right)).status).to.equal(429);
  });
});

describe('asking for mails', () => {
  const paths = ['/auth/password/forgot', '/auth/otp/send', '/auth/signup/send-link'];
  for (const email of [ada.email, 'nobody@example.com']) {
    it(`is limited for who asks and for ${email}, who gets no more than twenty in an hour and then ever fewer`, async () => {
      const made = await mailWorld(limited);
      for (const path of paths) {
        await budgets().deleteMany({});
        const ask = (address: string) => from(made, address).post(path, { email });
        expect(await statuses(7, () => ask('10.0.0.1')), path).to.deep.equal([
          202, 202, 202, 202, 202, 429, 429,
        ]);
        const botnet = await statuses(20, (index) => ask(`10.1.${index}.1`));
        expect(botnet.slice(0, 15), path).to.deep.equal(times(15, () => 202));
        expect(
          countBy(
            botnet.slice(15).map((status) => ({ status })),
            'status',
          )[429],
          path,
        ).to.be.greaterThan(2);
      }
    });
  }

  it('is limited where guesses are not, and guesses where it is not', async () => {
    const send = (made: Awaited<ReturnType<typeof mailWorld>>) =>
      statuses(6, () => from(made, '10.0.0.1').post('/auth/otp/send', { email: ada.email }));
    const guesses = (made: Awaited<ReturnType<typeof mailWorld>>) =>
      statuses(6, () => guessAt(from(made, '10.0.0.1')));
    const mails = await mailWorld({ ...limited, credentialRate: 'off' });
    expect(await send(mails)).to.deep.equal([202, 202, 202, 202, 202, 429]);
    expect(await guesses(mails)).to.deep.equal(times(6, () => 401));
    await budgets().deleteMany({});
    const credentials = await mailWorld({ ...limited, mailRate: 'off' });
    expect(await send(credentials)).to.deep.equal(times(6, () => 202));
    expect(await guesses(credentials)).to.deep.equal([401, 401, 401, 401, 401, 429]);
  });

  it('is limited as a guess is for sign-ups that send no mail', async () => {
    const made = await world({ ...limited, emailVerification: false, mailRate: 'off' });
    const sign = (index: number) =>
      from(made, '10.0.0.1').post('/auth/signup', {
        email: `u${index}@example.com`,
        password: 'brand-new-here',
      });
    expect(await statuses(6, sign)).to.deep.equal([201, 201, 201, 201, 201, 429]);
  });

  it('is not limited by strangers for the owner, on a device that is known', async () => {
    const made = await mailWorld(limited);
    const first = await guessAt(from(made, '198.51.100.7'), ada).expect(200);
    const cookies = first.headers['set-cookie'] as unknown as string[];
    const device = (cookies.find((each) => each.startsWith('device=')) as string).split(';')[0] as string;
    for (const path of paths.slice(0, 2)) {
      const ask = (address: string, more = {}) => from(made, address, more).post(path, { email: ada.email });
      expect((await statuses(24, (index) => ask(`10.1.${index}.1`))).slice(20)).to.include(429);
      expect((await ask('198.51.100.7', { Cookie: device })).status).to.equal(202);
    }
  });

  it('is limited for sign-ups from one address, whatever they say', async () => {
    const made = await mailWorld(limited);
    const sign = (index: number) =>
      from(made, '10.0.0.1').post('/auth/signup', {
        email: `u${index}@example.com`,
        password: 'brand-new-here',
      });
    expect(await statuses(7, sign)).to.deep.equal([202, 202, 202, 202, 202, 429, 429]);
  });
});
