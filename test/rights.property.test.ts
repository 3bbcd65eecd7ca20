import { expect } from 'chai';
import fc from 'fast-check';
import { announceChange, checkPermission, createApiKey, createUser, Roles, Users } from '../lib/index.js';
import { type Client, inspector, times, world } from './support/world.js';

type Rule = '*' | readonly string[];
type Rules = { create: Rule; update: Rule; delete: Rule };
interface Definition {
  readonly permissions: readonly string[];
  readonly managementRules: Rules | null;
}
/** What ought to be so: who has which roles, and what those hold. */
interface Model {
  readonly users: { roles: readonly string[]; active: boolean }[];
  readonly roles: Map<string, Definition>;
}
type Act =
  | ({ readonly kind: 'put'; readonly by: number; readonly name: string } & Definition)
  | { readonly kind: 'delete'; readonly by: number; readonly name: string }
  | { readonly kind: 'roles'; readonly by: number; readonly to: number; readonly roles: readonly string[] }
  | {
      readonly kind: 'status';
      readonly by: number;
      readonly to: number;
      readonly status: 'active' | 'inactive';
    };

const people = 4;
const codes = ['x.read', 'x.write', 'x.*', 'admin.roles.manage', 'admin.*'];
const probes = ['x.read', 'x.write', 'admin.roles.manage', 'admin.users.read'];
const names = ['admin', 'user', 'clerk', 'boss'];
const actions = ['create', 'update', 'delete'] as const;
const everything: Rules = { create: '*', update: '*', delete: '*' };

const covers = (held: readonly string[], code: string) =>
  held.some((one) => one === code || (one.endsWith('.*') && code.startsWith(one.slice(0, -1))));
const allows = (rules: readonly Rules[], action: keyof Rules, role: string) =>
  rules.some((each) => each[action] === '*' || each[action].includes(role));
/** Whether `wanted` let nobody do what `rules` do not. */
const within = (rules: readonly Rules[], wanted: readonly Rules[]) =>
  wanted.every((each) =>
    actions.every((action) => [each[action]].flat().every((role) => allows(rules, action, role))),
  );

function permissionsOf({ users, roles }: Model, who: number): string[] {
  const user = users[who];
  return user?.active ? user.roles.flatMap((name) => roles.get(name)?.permissions ?? []) : [];
}

/** What a role lets its holders do to users: without any rules of its own everything, if it is that of administrators. */
const effective = (name: string, own: Rules | null | undefined): Rules[] =>
  own ? [own] : name === 'admin' ? [everything] : [];

const rulesOf = ({ users, roles }: Model, who: number): Rules[] =>
  (users[who]?.roles ?? []).flatMap((name) => effective(name, roles.get(name)?.managementRules));

/** The code by which an act ought to be refused; null when it ought to be done, which is noted. */
function judge(model: Model, act: Act): string | null {
  if (!model.users[act.by]?.active) return 'user_inactive';
  const held = permissionsOf(model, act.by);
  const rules = rulesOf(model, act.by);
  if (act.kind === 'put' || act.kind === 'delete') {
    if (!covers(held, 'admin.roles.manage')) return 'permission_missing';
    return act.kind === 'put' ? judgePut(model, act, held, rules) : judgeDelete(model, act.name);
  }
  return judgeUser(model, act, held, rules);
}

function judgePut(
  model: Model,
  { name, permissions, managementRules }: Act & { kind: 'put' },
  held: readonly string[],
  rules: Rules[],
) {
  if (name === 'admin' && !permissions.includes('admin.*')) return 'conflict';
  const old = model.roles.get(name);
  const granted = permissions.filter((code) => !covers(old?.permissions ?? [], code));
  if (granted.some((code) => !covers(held, code))) return 'permission_missing';
  const already = effective(name, old?.managementRules);
  if (!within([...already, ...rules], effective(name, managementRules))) return 'permission_missing';
  model.roles.set(name, { permissions, managementRules });
  return null;
}

function judgeDelete(model: Model, name: string) {
  if (name === 'admin' || name === 'user') return 'conflict';
  if (!model.roles.has(name)) return 'not_found';
  if (model.users.some(({ roles }) => roles.includes(name))) return 'conflict';
  model.roles.delete(name);
  return null;
}

function judgeUser(
  model: Model,
  act: Act & { kind: 'roles' | 'status' },
  held: readonly string[],
  rules: Rules[],
) {
  const target = model.users[act.to] as Model['users'][number];
  const old = target.roles.length > 0 ? target.roles : ['user'];
  const wanted = act.kind === 'roles' ? (act.roles.length > 0 ? act.roles : ['user']) : [];
  const action = act.kind === 'status' && act.status === 'inactive' ? 'delete' : 'update';
  if ([...old, ...wanted].some((role) => !allows(rules, action, role))) return 'permission_missing';
  const after =
    act.kind === 'roles' ? { ...target, roles: act.roles } : { ...target, active: act.status === 'active' };
  const granted = after.roles.filter((role) => !target.roles.includes(role));
  const given = granted.flatMap((role) => model.roles.get(role)?.permissions ?? []);
  if (given.some((code) => !covers(held, code))) return 'permission_missing';
  const allowed = granted.flatMap((name) => effective(name, model.roles.get(name)?.managementRules));
  if (!within(rules, allowed)) return 'permission_missing';
  const others = model.users.filter((user) => user !== target && user.active && user.roles.includes('admin'));
  const goes =
    target.active && target.roles.includes('admin') && !(after.active && after.roles.includes('admin'));
  if (goes && others.length === 0) return 'last_admin';
  model.users[act.to] = after;
  return null;
}

const who = fc.nat(people - 1);
const name = fc.constantFrom(...names);
const someOf = (list: readonly string[]) => fc.subarray([...list]);
const rule: fc.Arbitrary<Rule> = fc.oneof(fc.constant('*' as const), someOf(names));
const managementRules = fc.option(fc.record({ create: rule, update: rule, delete: rule }));
const definition = { permissions: someOf(codes), managementRules };
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('put' as const), by: who, name, ...definition }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), by: who, name }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('roles' as const), by: who, to: who, roles: someOf(names) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('status' as const),
      by: who,
      to: who,
      status: fc.constantFrom('active' as const, 'inactive' as const),
    }),
  },
);
const beginning = fc.record({
  rules: managementRules,
  roles: fc.tuple(...times(people - 1, () => someOf(names))),
  clerk: fc.record(definition),
  boss: fc.record(definition),
});

describe('roles and rights', () => {
  it('are never more than a small model grants, and leave an administrator, whatever is done in whatever order', async () => {
    const { connection, shared, withHeaders } = await world();
    const persons = await Promise.all(
      times(people, async (index) => {
        const { id } = await createUser({ ...shared, email: `p${index}@example.com` });
        const { key } = await createApiKey({ ...shared, userId: id, name: 'key' }); // no sign-in, and none to end
        return { id, client: withHeaders({ 'X-API-Key': key }) };
      }),
    );
    const send = (client: Client, made: Act) => {
      if (made.kind === 'delete') return client.delete(`/admin/roles/${made.name}`);
      const { permissions, managementRules } = made as Definition;
      if (made.kind === 'put')
        return client.put(`/admin/roles/${made.name}`, { permissions, managementRules });
      const change = made.kind === 'roles' ? { roles: [...made.roles] } : { status: made.status };
      return client.patch(`/admin/users/${persons[made.to]?.id}`, change);
    };

    /** The database and the model as a run begins: the first person is an administrator, and so is nobody of the seed. */
    const begin = async ({
      rules,
      roles,
      clerk,
      boss,
    }: {
      rules: Rules | null;
      roles: string[][];
      clerk: Definition;
      boss: Definition;
    }): Promise<Model> => {
      const definitions: [string, Definition][] = [
        ['admin', { permissions: ['admin.*'], managementRules: rules }],
        ['user', { permissions: [], managementRules: null }],
        ['clerk', clerk],
        ['boss', boss],
      ];
      await Roles(inspector()).deleteMany({});
      await Roles(inspector()).insertMany(definitions.map(([name, each]) => ({ name, ...each })));
      await Users(inspector()).updateMany({ email: /^[^p]/ }, { roles: ['user'] });
      const users = [['admin'], ...roles].map((roles) => ({ roles, active: true }));
      for (const [index, { roles }] of users.entries())
        await Users(inspector()).updateOne({ email: `p${index}@example.com` }, { roles, status: 'active' });
      const ids = persons.map(({ id }) => ({ type: 'user', id }) as const);
      await announceChange({ connection, subjects: ids as [(typeof ids)[0]] });
      return { users, roles: new Map(definitions) };
    };

    const run = async (from: Parameters<typeof begin>[0], acts: readonly Act[]) => {
      const model = await begin(from);
      const all = () =>
        model.users.flatMap((_, index) =>
          permissionsOf({ ...model, users: model.users.map((user) => ({ ...user, active: true })) }, index),
        );
      const allRules = () => model.users.flatMap((_, index) => rulesOf(model, index));
      const [atFirst, rulesAtFirst] = [all(), allRules()];
      for (const made of acts) {
        const expected = judge(model, made);
        const { body, status } = await send(persons[made.by]?.client as Client, made);
        expect(status < 300 ? null : body.code, JSON.stringify(made)).to.equal(expected);
        for (const [index, { id }] of persons.entries())
          for (const permission of probes) {
            const may = await checkPermission({ connection, userId: id, permission });
            expect(may, `${index} ${permission}`).to.equal(covers(permissionsOf(model, index), permission));
          }
      }
      expect(model.users.some(({ active, roles }) => active && roles.includes('admin'))).to.equal(true);
      expect(
        all().filter((code) => !covers(atFirst, code)),
        'nobody has what nobody had',
      ).to.deep.equal([]);
      expect(within(rulesAtFirst, allRules()), 'nobody may to users what nobody might').to.equal(true);
    };

    const property = fc.asyncProperty(beginning, fc.array(act, { minLength: 5, maxLength: 15 }), run);
    await fc.assert(property, { numRuns: 25 });
  });
});
