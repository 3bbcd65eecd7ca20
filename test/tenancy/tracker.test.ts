import { expect } from 'chai';
import mongoose from 'mongoose';
import { announceChange, Memberships, Teams } from '../../lib/index.js';
import { inspector, world } from '../support/world.js';

/** Ada works in both of acme's teams; bob, now a member of acme too, in blue only. */
async function tracker() {
  const made = await world();
  const { acme, connection, as } = made;
  const teams = await Teams(inspector()).find({ organization: acme }).lean();
  const [red, blue] = ['red', 'blue'].map((name) => String(teams.find((team) => team.name === name)?._id));
  const bob = await inspector().collection('users').findOne({ email: 'bob@example.com' });
  await Memberships(inspector()).insertMany([
    { organization: acme, user: bob?._id, role: 'member', teams: [blue as never] },
  ]);
  await announceChange({ connection, subjects: [{ type: 'user', id: String(bob?._id) }] });
  const within = (email: string, team?: string) =>
    as(email, { 'X-Organization-Id': acme, ...(team && { 'X-Team-Id': team }) });
  return { ...made, red, blue, bob, within };
}

const names = ({ body }: { body: { items: { name: string }[] } }) => body.items.map(({ name }) => name);

describe("the demo's projects", () => {
  it('are those of the request’s team', async () => {
    const { within, red, blue } = await tracker();
    const [inRed, inBlue, bobInBlue] = await Promise.all([
      within('ada@example.com', red),
      within('ada@example.com', blue),
      within('bob@example.com', blue),
    ]);
    const made = await inRed.post('/api/projects', { name: 'Engine' }).expect(201);
    expect(made.body).to.include({ name: 'Engine', description: '', done: false });
    expect(made.headers.location).to.equal(`/api/projects/${made.body.id}`);
    await inBlue.post('/api/projects', { name: 'Loom' }).expect(201);

    expect(names(await inRed.get('/api/projects').expect(200))).to.deep.equal(['Engine']);
    expect(names(await inBlue.get('/api/projects').expect(200))).to.deep.equal(['Loom']);
    expect(names(await bobInBlue.get('/api/projects').expect(200))).to.deep.equal(['Loom']);

    const path = `/api/projects/${made.body.id}`;
    for (const stranger of [inBlue, bobInBlue]) {
      await stranger.get(path).expect(404);
      await stranger.patch(path, { name: 'Stolen' }).expect(404);
      expect((await stranger.delete(path).expect(404)).body.code).to.equal('not_found');
    }
    expect((await inRed.get(path).expect(200)).body.name).to.equal('Engine');
    expect((await inRed.patch(path, { done: true }).expect(200)).body).to.include({
      name: 'Engine',
      done: true,
    });
    await inRed.delete(path).expect(204);
    await inRed.get(path).expect(404);
  });

  it('are the user’s own without a team, and not what they made in a team that they have left', async () => {
    const { within, blue, acme, bob, connection } = await tracker();
    const [ada, bobs, bobInBlue] = await Promise.all([
      within('ada@example.com'),
      within('bob@example.com'),
      within('bob@example.com', blue),
    ]);
    await ada.post('/api/projects', { name: 'of ada' }).expect(201);
    await bobs.post('/api/projects', { name: 'of bob' }).expect(201);
    await bobInBlue.post('/api/projects', { name: 'of bob in blue' }).expect(201);

    expect(names(await ada.get('/api/projects').expect(200))).to.deep.equal(['of ada']);
    expect(names(await bobs.get('/api/projects').expect(200))).to.deep.equal(['of bob', 'of bob in blue']);
    expect(names(await bobInBlue.get('/api/projects').expect(200))).to.deep.equal(['of bob in blue']);

    await Memberships(inspector()).updateOne(
      { organization: acme, user: bob?._id as never },
      { $set: { teams: [] } },
    );
    await announceChange({ connection, subjects: [{ type: 'user', id: String(bob?._id) }] });
    expect(names(await bobs.get('/api/projects').expect(200))).to.deep.equal(['of bob']);
    await bobInBlue.get('/api/projects').expect(404);
  });

  it('come in pages, and refuse what is wrong', async () => {
    const { within, red, anyone } = await tracker();
    const ada = await within('ada@example.com', red);
    for (const name of ['a', 'b', 'c']) await ada.post('/api/projects', { name }).expect(201);
    const first = await ada.get('/api/projects?limit=2').expect(200);
    const second = await ada.get(`/api/projects?limit=2&cursor=${first.body.nextCursor}`).expect(200);
    expect([names(first), names(second), second.body.nextCursor]).to.deep.equal([['a', 'b'], ['c'], null]);

    await anyone().get('/api/projects').expect(401);
    await ada.post('/api/projects', {}).expect(400);
    for (const field of ['organization', 'team', 'owner', 'tenantId'])
      await ada
        .post('/api/projects', { name: 'x', [field]: String(new mongoose.Types.ObjectId()) })
        .expect(400);
    for (const id of ['nonsense', '0'.repeat(24), first.body.items[0].id.slice(1)])
      await ada.get(`/api/projects/${id}`).expect(404);
  });
});
