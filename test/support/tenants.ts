import mongoose, { type Aggregate, type Connection, type Query, Schema, type Types } from 'mongoose';
import { declareGlobal, Memberships, tenantOf, tenantScoped } from '../../lib/index.js';
import { watchCommands } from './commands.js';
import { connect, emptyWorld, inspector } from './world.js';

const ObjectId = Schema.Types.ObjectId;

/** Compiles the models of an application: projects of organizations, tasks of teams, countries of everybody, secrets of nobody said. */
export function compile(connection: Connection) {
  /** What the hooks of projects do, in a test that says so. */
  const hooks: {
    aggregate?: (on: Aggregate<unknown>) => void;
    findOne?: (on: Query<unknown, unknown>) => void;
  } = {};
  const projectSchema = new Schema(
    {
      name: String,
      size: Number,
      tags: [String],
      parent: { type: ObjectId, ref: 'Project' },
      country: { type: ObjectId, ref: 'Country' },
      secret: { type: ObjectId, ref: 'Secret' },
      lead: { type: ObjectId, ref: 'User' },
      watchers: [{ type: ObjectId, ref: 'User' }],
      steps: [{ title: String, next: { type: ObjectId, ref: 'Project' } }],
      byMonth: { type: Map, of: { type: ObjectId, ref: 'Project' } },
      place: { type: { type: String }, coordinates: { type: [Number], default: undefined } },
      anything: Schema.Types.Mixed,
    },
    {
      collection: 'test_projects',
      statics: {
        named(name: string) {
          return this.find({ name });
        },
      },
      methods: {
        all() {
          return (this.constructor as mongoose.Model<{ name?: string }>).find();
        },
      },
    },
  );
  projectSchema.pre('aggregate', function () {
    hooks.aggregate?.(this);
  });
  projectSchema.pre('findOne', function () {
    hooks.findOne?.(this);
  });
  projectSchema.virtual('children', { ref: 'Project', localField: '_id', foreignField: 'parent' });
  projectSchema.index({ organization: 1, name: 'text' });
  projectSchema.index({ organization: 1, place: '2dsphere' });
  projectSchema.plugin(tenantScoped, { by: 'organization' });
  const taskSchema = new Schema(
    { title: String, project: { type: ObjectId, ref: 'Project' } },
    { collection: 'test_tasks' },
  );
  taskSchema.plugin(tenantScoped, { by: 'team' });
  const countrySchema = new Schema({ code: String }, { collection: 'test_countries' });
  countrySchema.plugin(declareGlobal);
  const secretSchema = new Schema({ text: String }, { collection: 'test_secrets' });
  const models = {
    Project: connection.model('Project', projectSchema),
    Task: connection.model('Task', taskSchema),
    Country: connection.model('Country', countrySchema),
    Secret: connection.model('Secret', secretSchema),
  };
  return { models, hooks };
}

export const oid = (hex = 'a'): Types.ObjectId => new mongoose.Types.ObjectId(hex.padStart(24, '0'));

/** Two organizations with a project each, which the tests call ours and theirs; seen by a connection of the application's. */
export async function tenants(options: mongoose.ConnectOptions = {}) {
  const { shared } = await emptyWorld();
  const connection = await connect(undefined, { monitorCommands: true, ...options });
  const { models, hooks } = compile(connection);
  for (const model of Object.values(models)) await model.createIndexes();
  const [us, them] = [oid('a1'), oid('b1')];
  const [ada, bob] = [oid('a2'), oid('b2')];
  const users = [
    { _id: ada, email: 'ada@example.com', name: 'Ada', password: { hash: 'x' } },
    { _id: bob, email: 'bob@example.com', name: 'Bob', password: { hash: 'y' } },
  ];
  await inspector().collection<object>('users').insertMany(users);
  await Memberships(inspector()).insertMany([
    { organization: us, user: ada, role: 'owner', teams: [] },
    { organization: them, user: bob, role: 'owner', teams: [] },
  ]);
  const projects = inspector().collection('test_projects');
  const [mine, foreign] = [oid('a3'), oid('b3')];
  await projects.insertMany([
    { _id: mine, organization: us, name: 'ours', size: 1, tags: ['x'], __v: 0 },
    { _id: foreign, organization: them, name: 'theirs', size: 1, tags: ['x'], __v: 0 },
  ]);
  const tenant = tenantOf({ connection, organizationId: String(us), userId: String(ada) });
  const commands = watchCommands(connection);
  const stored = (_id: Types.ObjectId) => projects.findOne({ _id });
  return { ...models, hooks, connection, shared, tenant, handle: tenant.model(models.Project), us, them, ada, bob, mine, foreign, projects, commands, stored }; // biome-ignore format: a list
}
