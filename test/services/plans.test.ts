import { expect } from 'chai';
import {
  assignPlan,
  createOrganization,
  definePlans,
  entitlementsOf,
  Organizations,
  type PlanDefinitions,
  Plans,
  requireAllEntitlements,
  requireAnyEntitlement,
  requireEntitlement,
  type Subject,
  syncPlans,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { connect, countBy, emptyWorld, inspector, times, world } from '../support/world.js';

const features = { images: { limit: 1, per: 'day' } } as const;
const plan = (mark?: 'default') => ({ name: 'P', tier: 0, features, default: mark === 'default' });
const planOf = async (shared: Parameters<typeof syncPlans>[0] | object) =>
  (await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } })).plan?.code;

describe('definePlans()', () => {
  const withFeatures = (features: object) => () =>
    definePlans({ a: { name: 'A', tier: 0, features } } as unknown as PlanDefinitions);

  it('takes flags, numbers, allowances with rollover and overage, and prices in credits', () => {
    const features = {
      reports: true,
      projects: 3,
      credits: { limit: 50, per: 'month' },
      videos: { credits: 5 },
      images: { limit: 0, per: 'hour', rollover: { cap: 5, periods: 24 }, overage: { cap: 10 } },
      tokens: { limit: 'unlimited', per: 'lifetime' },
      pages: { limit: 7, per: 'day', overage: { cap: 'unlimited' } },
    } as const;
    const plans = definePlans({ a: { name: 'A', tier: 0, features } });
    expect(plans.a.features).to.equal(features);
    expect(plans.a.features.images.rollover).to.be.frozen;
  });

  it('refuses what a feature does not have, and names where it stands', () => {
    const day = { limit: 1, per: 'day' };
    const wrong: [feature: unknown, says: RegExp][] = [
      [false, /must be one of \[true, number\] \(got a boolean\)/],
      [-1, /must be greater than or equal to 0/],
      [1.5, /must be an integer/],
      [{ ...day, limti: 2 }, /\[x\]\[limti\] is unknown; remove it or mend its spelling/],
      [{ limit: 1 }, /\[x\]\[per\] is required/],
      [{ limit: 'lots', per: 'day' }, /\[x\]\[limit\] must be one of \[number, unlimited\]/],
      [{ limit: null, per: 'day' }, /\[x\]\[limit\]/],
      [{ limit: 1, per: 'week' }, /\[x\]\[per\] must be one of/],
      [{ ...day, rollover: {} }, /\[x\]\[rollover\]\[cap\] is required/],
      [{ ...day, rollover: { cap: 1, period: 2 } }, /\[rollover\]\[period\] is unknown/],
      [
        { ...day, rollover: { cap: 1, periods: 25 } },
        /\[rollover\]\[periods\] must be less than or equal to 24/,
      ],
      [{ limit: 1, per: 'lifetime', rollover: { cap: 1 } }, /\[rollover\] is not allowed/],
      [{ limit: 'unlimited', per: 'day', overage: { cap: 1 } }, /\[overage\] is not allowed/],
      [{ ...day, overage: true }, /\[overage\] must be/],
      [{ credits: 0 }, /\[credits\] must be greater/],
      [{ credits: 1, limit: 1, per: 'day' }, /\[x\]\[(limit|per)\] is unknown/],
    ];
    for (const [feature, says] of wrong) {
      const define = withFeatures({ x: feature });
      expect(define, JSON.stringify(feature)).to.throw(
        TypeError,
        /^definePlans\(\): plans\[a\]\[features\]\[x\]/,
      );
      expect(define, JSON.stringify(feature)).to.throw(says);
    }
    expect(withFeatures({ Images: true })).to.throw(TypeError, /\[Images\] is unknown/);
    expect(withFeatures({ credits: { credits: 1 } })).to.throw(TypeError, /\[credits\]/); // what would it be paid from?
  });

  it('lets a guard be made with a feature of the plans, and with no other', () => {
    const plans = definePlans({ a: { name: 'A', tier: 0, features: { reports: true, projects: 0 } } });
    const { a } = plans as PlanDefinitions;
    const untyped = { a } as PlanDefinitions;
    requireEntitlement(plans, 'projects');
    for (const make of [
      () => requireEntitlement(untyped, 'reprots'),
      () => requireAnyEntitlement(untyped, ['reports', 'reprots']),
      () => requireAllEntitlements(untyped, ['reports', 'reprots']),
    ])
      expect(make).to.throw(TypeError, /^require\w+\(\): no plan has such a feature: reprots/);
  });
});

describe('syncPlans()', () => {
  it('lets one plan be the default, and hands the mark over', async () => {
    const { shared } = await emptyWorld();
    await syncPlans({ ...shared, plans: { a: plan('default'), b: plan() } });
    expect(await planOf(shared)).to.equal('a');
    await syncPlans({ ...shared, plans: { b: plan('default') } });
    expect(await planOf(shared)).to.equal('b');
    await syncPlans({ ...shared, plans: { a: { ...plan(), tier: 7 }, b: { ...plan(), tier: 8 } } });
    expect(await planOf(shared), 'nobody claims the mark').to.equal('b');
    expect(await Plans(inspector()).countDocuments({ default: true })).to.equal(1);
    const both = await syncPlans({ ...shared, plans: { a: plan('default'), b: plan('default') } }).catch(
      (error) => error,
    );
    expect(both)
      .to.be.instanceOf(TypeError)
      .with.property('message')
      .that.matches(/one plan as default/);
  });

  it('stores a plan once, however many processes do it at once, and a changed one as a new version', async () => {
    const { shared } = await emptyWorld();
    const plans = {
      a: plan('default'),
      b: { ...plan(), features: { x: { ...features.images, rollover: undefined } } },
    };
    await Promise.all(times(8, () => syncPlans({ ...shared, plans })));
    expect(await Plans(inspector()).countDocuments()).to.equal(2);
    await Promise.all(
      times(8, (index) => syncPlans({ ...shared, plans: { a: { ...plan(), tier: index } } })),
    );
    const versions = await Plans(inspector()).find({ code: 'a' }).sort({ version: 1 }).lean();
    expect(versions.map(({ version }) => version)).to.deep.equal(
      times(versions.length, (index) => index + 1),
    );
    expect(versions.at(-1)).to.include({ default: true });
    const { version } = await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } });
    expect(version, 'one generation for each change').to.equal(versions.length + 1);
  });
});

describe('entitlementsOf()', () => {
  it('reads those of many who ask at once together, and gives each their own', async () => {
    const { connection } = await emptyWorld();
    const plans = { free: { ...plan('default'), tier: 0 }, paid: { ...plan(), tier: 1 } };
    await syncPlans({ connection, plans });
    const subjects = times(
      200,
      (index) => ({ type: index % 4 ? 'user' : 'organization', id: `s${index >> 1}` }) as const,
    );
    const paid = subjects.filter((_, index) => index % 10 === 0);
    await Promise.all(paid.map((subject) => assignPlan({ connection, subject, plan: 'paid' })));
    const elsewhere = await connect(undefined, { monitorCommands: true });
    const commands = watchCommands(elsewhere);
    const ask = (subject: Subject) => entitlementsOf({ connection: elsewhere, subject, strict: true });
    const found = await Promise.all(subjects.map(ask));
    const isPaid = ({ type, id }: Subject) => paid.some((one) => one.type === type && one.id === id);
    expect(found.map(({ plan }) => plan?.code)).to.deep.equal(
      subjects.map((subject) => (isPaid(subject) ? 'paid' : 'free')),
    );
    expect(commands.filter((name) => name === 'aggregate')).to.have.lengthOf.at.most(4); // one for each type, in two turns at most
  });
});

describe('createOrganization()', () => {
  it('takes each slug once, and no owner who does not exist', async () => {
    const { shared, signIn } = await world();
    const { body } = await signIn('bob@example.com');
    const create = (owner: string) =>
      createOrganization({ ...shared, name: 'New', slug: 'new', owner }).then(
        () => 'created',
        ({ code }) => code,
      );
    expect(await create('0'.repeat(24))).to.equal('not_found');
    const outcomes = await Promise.all(times(8, () => create(body.user.id)));
    expect(
      countBy(
        outcomes.map((outcome) => ({ outcome })),
        'outcome',
      ),
    ).to.deep.equal({ created: 1, conflict: 7 });
  });

  it('are listed to the end, also when one of them is gone', async () => {
    const { as, acme } = await world();
    const ada = await as('ada@example.com');
    await Organizations(inspector()).deleteOne({ _id: acme });
    const first = await ada.get('/organizations?limit=1').expect(200);
    const second = await ada.get(`/organizations?limit=1&cursor=${first.body.nextCursor}`).expect(200);
    expect([...first.body.items, ...second.body.items].map(({ slug }) => slug)).to.deep.equal(['globex']);
  });
});
