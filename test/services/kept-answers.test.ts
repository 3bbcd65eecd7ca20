import { expect } from 'chai';
import { Claims, consumeQuota, exportSubject } from '../../lib/index.js';
import type { KeptAnswer } from '../../lib/services/identity/kept-answers.js';
import { inspector, times, world } from '../support/world.js';

describe('the export of a user', () => {
  it('has the answers that are kept for their idempotency keys, and those of nobody else', async () => {
    const { as } = await world();
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];
    const search = (client: typeof ada, key: string) =>
      client.post('/api/searches', { amount: 3 }).set('Idempotency-Key', key);
    const { text } = await search(ada, 'mine').expect(200);
    await search(bob, 'not mine').expect(200);

    const { body } = await ada.get('/auth/export').expect(200);
    const [kept, ...others] = body.idempotencyKeys;
    expect(others).to.deep.equal([]);
    const { keptUntil, answer, subject, ...told } = kept;
    expect(told).to.deep.equal({
      key: 'mine',
      method: 'POST',
      route: '/api/searches',
      feature: 'searches',
    });
    expect(subject).to.equal(`user:${body.user.id}`);
    expect(answer).to.deep.equal({
      status: 200,
      type: 'application/json; charset=utf-8',
      location: null,
      body: text,
    });
    expect(new Date(keptUntil).getTime()).to.be.greaterThan(Date.now());
  });

  it('has all keys, however many, and what is no text in base64', async () => {
    const { as, shared } = await world();
    const ada = await as('ada@example.com');
    const { id } = (await ada.get('/auth/profile').expect(200)).body;
    const subject = { type: 'user', id } as const;
    const keys = times(120, (index) => `key ${index}`);
    await Promise.all(
      keys.map((idempotencyKey) => consumeQuota({ ...shared, subject, feature: 'searches', idempotencyKey })),
    );
    const bytes = Buffer.from([0xff, 0x00]);
    const answer = { status: 200, type: 'image/png', location: null, body: bytes, isWhole: true };
    await Claims(inspector()).updateOne({ '_id.k': 'key 7' }, { $set: { answer } });

    const exported = (await exportSubject({ ...shared, subject })).idempotencyKeys as KeptAnswer[];
    expect(exported.map(({ key }) => key)).to.have.members(keys);
    const answers = exported.flatMap((kept) => kept.answer ?? []);
    expect(answers.map(({ body }) => body)).to.deep.equal([bytes.toString('base64')]);
  });
});
