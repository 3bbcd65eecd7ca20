import { expect } from 'chai';
import Koa from 'koa';
import {
  adminRouter,
  authRouter,
  createUser,
  deleteRole,
  problems,
  saveRole,
  updateUser,
} from '../../lib/index.js';
import { administered, refusal } from '../support/admins.js';
import { watchCommands } from '../support/commands.js';
import { clientsOf, connect, serve } from '../support/world.js';

const missing = 'permission_missing';

/** The world with its administrator, and all that the library sends from now on while somebody acts. */
async function watched() {
  const given = await administered();
  const connection = await connect(undefined, { monitorCommands: true });
  const shared = { ...given.shared, connection };
  const app = new Koa();
  app.use(problems()).use(authRouter(shared).routes()).use(adminRouter(shared).routes());
  const clients = clientsOf(await serve(app));
  const commands = watchCommands(connection);
  return { ...given, ...clients, shared, commands };
}

/** The commands of those whom nobody need wait for. */
const reads = ['find', 'aggregate'];

/** All others that an attempt has sent. */
const writesIn = (commands: readonly string[], attempt: string): string[] =>
  commands.filter((command) => !reads.includes(command)).map((command) => `${attempt}: ${command}`);

describe('whoever is refused', () => {
  it('writes nothing for which administrators would wait, on no route of theirs', async () => {
    const { as, ids, commands } = await watched();
    const ada = await as('ada@example.com');
    const [bob, subject] = [`/admin/users/${ids.bob}`, `/admin/subjects/user/${ids.ada}`];
    const nobody = `/admin/users/${'0'.repeat(24)}`;
    const asks = {
      rename: () => ada.patch(bob, { name: 'Bobby' }),
      promote: () => ada.patch(`/admin/users/${ids.ada}`, { roles: ['admin'] }),
      close: () => ada.patch(bob, { status: 'inactive' }),
      deactivate: () => ada.delete(bob),
      unknown: () => ada.patch(nobody, { name: 'Nobody' }),
      gone: () => ada.delete(nobody),
      create: () => ada.post('/admin/users', { email: 'new@example.com', password: 'cobol-forever' }),
      unlock: () => ada.post(`${bob}/unlock`, {}),
      end: () => ada.delete(`${bob}/sessions`),
      write: () => ada.put('/admin/roles/user', { permissions: [] }),
      delete: () => ada.delete('/admin/roles/designer'),
      assign: () => ada.put(`${subject}/plan`, { plan: 'pro' }),
      cancel: () => ada.delete(`${subject}/plan`),
      limit: () => ada.patch(`${subject}/limits`, { limits: { images: null } }),
      reset: () => ada.post(`${subject}/usage/reset`, {}),
      grant: () => ada.post(`${subject}/grants`, { feature: 'images', amount: 1 }),
    };
    const sent: string[] = [];
    for (const [name, ask] of Object.entries(asks)) {
      commands.length = 0;
      expect((await refusal(ask())).slice(0, 2), name).to.deep.equal([403, missing]);
      sent.push(...writesIn(commands, name));
    }
    expect(sent).to.deep.equal([]);
  });

  it('writes nothing either where a function is told who acts, also who may do some of it', async () => {
    const { shared, ids, role, give, commands } = await watched();
    await role('editor', ['tickets.read']);
    const rules = { create: ['user', 'editor'], update: ['user', 'editor', 'designer'], delete: [] };
    await role('clerk', ['admin.roles.manage'], rules);
    await give('ada', 'user', 'designer');
    await give('bob', 'clerk');
    const [stranger, clerk] = [
      { ...shared, actor: ids.ada },
      { ...shared, actor: ids.bob },
    ];
    const [grace, nobody] = [{ email: 'grace@example.com' }, { userId: '0'.repeat(24), name: 'Nobody' }];
    const acts = {
      'a stranger writes a role': [missing, () => saveRole({ ...stranger, name: 'editor', permissions: [] })],
      'a stranger deletes one': [missing, () => deleteRole({ ...stranger, name: 'editor' })],
      'a stranger makes a user': [missing, () => createUser({ ...stranger, ...grace })],
      deactivates: [missing, () => updateUser({ ...clerk, userId: ids.ada, status: 'inactive' })],
      'gives what they lack': [missing, () => updateUser({ ...clerk, userId: ids.ada, roles: ['editor'] })],
      'makes a user of it': [missing, () => createUser({ ...clerk, ...grace, roles: ['editor'] })],
      'writes it to a role': [missing, () => saveRole({ ...clerk, name: 'user', permissions: ['a.b'] })],
      'by a key of other scopes': [missing, () => updateUser({ ...clerk, ...nobody, scopes: ['a.b'] })],
      'changes nobody': ['not_found', () => updateUser({ ...clerk, ...nobody })],
      'makes what is there': ['conflict', () => saveRole({ ...clerk, name: 'editor', only: 'create' })],
      'deletes what stays': ['conflict', () => deleteRole({ ...clerk, name: 'admin' })],
    } as const;
    const sent: string[] = [];
    for (const [name, [code, act]] of Object.entries(acts)) {
      commands.length = 0;
      const refused = await act().then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      expect(refused, name).to.equal(code);
      sent.push(...writesIn(commands, name));
    }
    expect(sent).to.deep.equal([]);
    await updateUser({ ...clerk, userId: ids.ada, name: 'Ada' });
    expect(commands).to.include.members(['findAndModify', 'update', 'commitTransaction']); // it would have been seen
  });
});
