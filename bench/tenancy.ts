import { equal } from 'node:assert/strict';
import { type InferSchemaType, type Model, Schema, Types } from 'mongoose';
import { ready, type Tenant, tenantOf, tenantScoped } from '../dist/index.js';
import { compare, print, type Variant } from './runner.js';
import { makeWorld } from './world.js';

const perRun = 400;
const parallel = 8;
const perTenant = 20; // documents that a find reads

const world = await makeWorld();
const { connection } = world.shared;
await ready(connection);

const fields = {
  name: { type: String, required: true },
  size: Number,
  done: { type: Boolean, default: false },
};
const organization = { type: Schema.Types.ObjectId, required: true };

/** The peer: the same schema, whose code says the organization in every query. */
const plainSchema = new Schema({ ...fields, organization });
plainSchema.index({ organization: 1, _id: 1 });
const Plain = connection.model('Plain', plainSchema);

const scopedSchema = new Schema(fields);
scopedSchema.plugin(tenantScoped, { by: 'organization' });
const Scoped = connection.model('Scoped', scopedSchema);

const ids = Array.from({ length: 50 }, () => new Types.ObjectId());
const tenants = new Map(
  ids.map((id) => [String(id), tenantOf({ connection, organizationId: String(id) })] as const),
);
const handleOf = (id: Types.ObjectId) =>
  (tenants.get(String(id)) as Tenant).model(Scoped as Model<InferSchemaType<typeof scopedSchema>>);

await Promise.all([Plain.createIndexes(), Scoped.createIndexes()]);
for (const id of ids) {
  const names = Array.from({ length: perTenant }, (_, index) => ({ name: `project ${index}`, size: index }));
  await Plain.insertMany(names.map((each) => ({ ...each, organization: id })));
  await handleOf(id).insertMany(names);
}

/** Documents of both kinds, as the database has them. */
const count = (name: string) => connection.collection(name).countDocuments();

/** Does `work` for one tenant after the other, so many at a time; `made` is how many documents a run leaves behind. */
function variant(
  name: string,
  collection: string,
  made: number,
  work: (id: Types.ObjectId) => Promise<number>,
): Variant {
  const start = async () => {
    let [before, given, sent] = [await count(collection), 0, 0];
    const run = async () => {
      const commands = world.commands();
      given = 0;
      let turn = 0;
      const lane = async () => {
        while (turn < perRun) {
          const got = await work(ids[turn++ % ids.length] as Types.ObjectId);
          given += got;
        }
      };
      await Promise.all(Array.from({ length: parallel }, lane));
      sent = world.commands() - commands;
      return perRun;
    };
    const check = async () => {
      const now = await count(collection);
      equal(sent, perRun, `${name}: one command each`);
      equal(now - before, made, `${name}: documents that were made`);
      equal(given, made > 0 ? perRun : perRun * perTenant, `${name}: documents that were given`);
      await connection.collection(collection).deleteMany({ name: 'new' });
      before = await count(collection);
    };
    return { run, check, stop: () => {} };
  };
  return { name, start };
}

const newOne = { name: 'new', size: 1 };
const found = await compare([
  variant(
    'find(), the filter by hand',
    'plains',
    0,
    async (id) => (await Plain.find({ organization: id })).length,
  ),
  variant('find() of the handle', 'scopeds', 0, async (id) => (await handleOf(id).find()).length),
]);
const lean = await compare([
  variant(
    'find().lean(), the filter by hand',
    'plains',
    0,
    async (id) => (await Plain.find({ organization: id }).lean()).length,
  ),
  variant(
    'find().lean() of the handle',
    'scopeds',
    0,
    async (id) => (await handleOf(id).find().lean()).length,
  ),
]);
const created = await compare([
  variant('create(), the field by hand', 'plains', perRun, async (id) =>
    Number(Boolean(await Plain.create({ ...newOne, organization: id }))),
  ),
  variant('create() of the handle', 'scopeds', perRun, async (id) =>
    Number(Boolean(await handleOf(id).create(newOne))),
  ),
]);
for (const rows of [found, lean, created]) print(rows);
await world.stop();
