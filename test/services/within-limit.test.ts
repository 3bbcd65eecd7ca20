import { expect } from 'chai';
import { type Connection, Schema } from 'mongoose';
import {
  assignPlan,
  exportSubject,
  type Subject,
  syncPlans,
  updatePlanLimits,
  type WithinLimit,
  withinLimit,
} from '../../lib/index.js';
import { connect, countBy, emptyWorld, inspector, times, world } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const taskSchema = new Schema({ of: { type: String, required: true, index: true }, name: String });
const tasksOf = (connection: Connection) => connection.model('Task', taskSchema);
const tasks = () => tasksOf(inspector());

const plan = (tier: number, features: Record<string, number | true>) => ({
  name: 'A plan',
  tier,
  default: tier === 0,
  features,
});

async function limited() {
  const { shared, connection } = await emptyWorld();
  await syncPlans({
    ...shared,
    plans: { free: plan(0, { tasks: 3, reports: true }), pro: plan(1, { tasks: 10 }) },
  });
  await tasks().createIndexes();
  const add = (on: Connection = connection, more: Partial<WithinLimit<unknown>> = {}) =>
    withinLimit({
      connection: on,
      subject,
      feature: 'tasks',
      count: (session) => tasksOf(on).countDocuments({ of: 'acme' }, { session }),
      run: (session) => tasksOf(on).insertMany([{ of: 'acme' }], { session }),
      ...more,
    }).then(
      () => ({ outcome: 'done' }),
      ({ code, name }) => ({ outcome: String(code ?? name) }),
    );
  return { shared, connection, add };
}

describe('withinLimit()', () => {
  it('adds no more than the plan allows, of many who add at once in two processes', async () => {
    const { connection, add } = await limited();
    const there = await connect();
    const outcomes = await Promise.all(times(12, (index) => add(index % 2 ? there : connection)));
    const { done, quota_exceeded: refused = 0, overloaded = 0 } = countBy(outcomes, 'outcome'); // whose turn has not come
    expect([done, refused + overloaded]).to.deep.equal([3, 9]);
    expect(await tasks().countDocuments()).to.equal(3);
  });

  it('counts what there is, however it came and went', async () => {
    const { shared, add } = await limited();
    await tasks().insertMany(times(3, () => ({ of: 'acme' })));
    expect(await add()).to.include({ outcome: 'quota_exceeded' });
    await tasks().deleteOne({});
    expect(await add()).to.include({ outcome: 'done' });
    await assignPlan({ ...shared, subject, plan: 'pro' });
    expect(await add(undefined, { amount: 8 })).to.include({ outcome: 'quota_exceeded' });
    expect(await add(undefined, { amount: 7 })).to.include({ outcome: 'done' });
    await updatePlanLimits({ ...shared, subject, limits: { tasks: 1 } });
    expect(await add()).to.include({ outcome: 'quota_exceeded' });
    await updatePlanLimits({ ...shared, subject, limits: { tasks: null } });
    expect(await add()).to.include({ outcome: 'done' });
    expect(await tasks().countDocuments()).to.equal(5);
  });

  it('writes nothing when it is refused or fails, and says what there is', async () => {
    const { connection, add } = await limited();
    const failing = add(undefined, {
      run: async (session) => {
        await tasksOf(connection).insertMany([{ of: 'acme' }], { session });
        throw Object.assign(new Error('no'), { code: 'own' });
      },
    });
    expect(await failing).to.include({ outcome: 'own' });
    expect(await tasks().countDocuments()).to.equal(0);
    const refused = await withinLimit({
      connection,
      subject,
      feature: 'tasks',
      count: async () => 5,
      run: async () => {},
    }).catch((error) => error);
    expect(refused).to.include({ code: 'quota_exceeded', status: 429 });
    expect(refused.extras).to.include({ feature: 'tasks', limit: 3, used: 5, remaining: 0 });
    expect(refused.extras).to.include({ resetsAt: null, upgradeRequired: true });
    expect(refused.headers?.['Retry-After']).to.equal(undefined);
  });

  it('refuses what is no static limit, and amounts that are none', async () => {
    const { add } = await limited();
    expect(await add(undefined, { feature: 'films' })).to.include({ outcome: 'entitlement_missing' });
    expect(await add(undefined, { feature: 'reports' })).to.include({ outcome: 'internal' });
    for (const amount of [0, -1, 1.5, Number.NaN, '2' as never])
      expect(await add(undefined, { amount }), String(amount)).to.include({ outcome: 'TypeError' });
    expect(await tasks().countDocuments()).to.equal(0);
  });

  it('leaves nothing in the usage that is told of a subject', async () => {
    const { shared, signIn } = await world();
    await syncPlans({ ...shared, plans: { free: plan(0, { tasks: 3 }) } });
    const { body } = await signIn('bob@example.com').expect(200);
    const who: Subject & { type: 'user' } = { type: 'user', id: body.user.id };
    await withinLimit({
      ...shared,
      subject: who,
      feature: 'tasks',
      count: async () => 0,
      run: async () => {},
    });
    expect((await exportSubject({ ...shared, subject: who })).usage).to.deep.equal([]);
  });
});
