import { expect } from 'chai';
import { createOrganization, entitlementsOf, Organizations, Plans, syncPlans } from '../../lib/index.js';
import { countBy, emptyWorld, inspector, times, world } from '../support/world.js';

const features = { images: { limit: 1, per: 'day' } } as const;
const plan = (mark?: 'default') => ({ name: 'P', tier: 0, features, default: mark === 'default' });
const planOf = async (shared: Parameters<typeof syncPlans>[0] | object) =>
  (await entitlementsOf({ ...shared, subject: { type: 'user', id: 'x' } })).plan?.code;

describe('syncPlans()', () => {
  it('lets one plan be the default, and hands the mark over', async () => {
    const { shared } = await emptyWorld();
    await syncPlans({ ...shared, plans: { a: plan('default'), b: plan() } });
    expect(await planOf(shared)).to.equal('a');
    await syncPlans({ ...shared, plans: { b: plan('default') } });
    expect(await planOf(shared)).to.equal('b');
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
    await Promise.all(times(8, () => syncPlans({ ...shared, plans: { a: plan() } })));
    expect(await Plans(inspector()).countDocuments()).to.equal(1);
    await syncPlans({ ...shared, plans: { a: { ...plan(), tier: 1 } } });
    expect(await Plans(inspector()).distinct('version')).to.deep.equal([1, 2]);
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
