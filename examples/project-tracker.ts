import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  acrossTenants,
  addMember,
  addTeamMember,
  authenticate,
  authRouter,
  body,
  createOrganization,
  createTeam,
  createUser,
  declareGlobal,
  type InOrganization,
  type InTeam,
  organization,
  organizationRouter,
  problems,
  ready,
  type SignedIn,
  setCurrentTeam,
  team,
  tenant,
  tenantOf,
  tenantScoped,
  Users,
  type WithTenant,
} from 'koa-tollgate';
import mongoose, { type InferSchemaType, isObjectIdOrHexString, Schema } from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready();
const keys = [process.env.TOLLGATE_SECRET ?? ''];

const countrySchema = new Schema({ name: String });
countrySchema.plugin(declareGlobal); // everybody's
const Country = mongoose.model('Country', countrySchema);

const projectSchema = new Schema({
  name: { type: String, required: true },
  country: { type: Schema.Types.ObjectId, ref: 'Country' },
  lead: { type: Schema.Types.ObjectId, ref: 'User' },
  done: { type: Boolean, default: false },
});
projectSchema.plugin(tenantScoped, { by: 'team' }); // adds organization, team and owner, which nobody changes
const Project = mongoose.model('Project', projectSchema);
await Promise.all([Country.init(), Project.init()]); // the indexes exist

const api = new Router<SignedIn & InOrganization & InTeam & WithTenant>({ prefix: '/api/projects' });
api.use(authenticate({ keys }), organization(), team(), tenant());
api.param('id', (id, ctx, next) => (isObjectIdOrHexString(id) ? next() : ctx.throw(404)));

const hexId = Joi.string().hex().length(24);
const shown = ({ _id, name, done }: InferSchemaType<typeof projectSchema> & { _id: unknown }) => ({
  id: _id,
  name,
  done,
});

// None of these says whose projects it means: the handle has those of the request's team, or without a team the user's own.
api.get('/', async (ctx) => {
  const projects = await ctx.state.tenant.model(Project).find().sort({ _id: 1 }).lean();
  ctx.body = { items: projects.map(shown) };
});
api.post('/', body({ name: Joi.string().required() }, { lead: hexId, country: hexId }), async (ctx) => {
  const project = await ctx.state.tenant.model(Project).insertOne(ctx.request.body); // 404 where the lead is no member
  ctx.status = 201;
  ctx.body = shown(project);
});
api.get('/:id', async (ctx) => {
  const found = ctx.state.tenant.model(Project).findById(ctx.params.id).populate(['lead', 'country']);
  ctx.body = (await found.lean()) ?? ctx.throw(404); // another team's looks like none
});
api.patch('/:id', body({ done: Joi.boolean().required() }), async (ctx) => {
  const projects = ctx.state.tenant.model(Project);
  const { matchedCount } = await projects.updateOne({ _id: ctx.params.id }, { $set: ctx.request.body });
  ctx.status = matchedCount === 1 ? 204 : ctx.throw(404);
});
api.delete('/:id', async (ctx) => {
  const { deletedCount } = await ctx.state.tenant.model(Project).deleteOne({ _id: ctx.params.id });
  ctx.status = deletedCount === 1 ? 204 : ctx.throw(404);
});

/** A job for one team: it says which. */
export async function closeAll(organizationId: string, teamId: string): Promise<number> {
  const projects = tenantOf({ organizationId, teamId }).model(Project);
  return (await projects.updateMany({ done: false }, { $set: { done: true } })).modifiedCount;
}

/** A report over everybody's: it says why, and the audit log keeps it. */
export const countOpen = (): Promise<number> =>
  acrossTenants({
    reason: 'report of open projects',
    run: (all) => all.model(Project).countDocuments({ done: false }),
  });

/** One organization with two teams: Ada, who owns it, works in red, and Grace in blue. */
async function seed(): Promise<void> {
  const [ada, grace] = await Promise.all([
    createUser({ email: 'ada@example.com', password: 'lovelace-1815', name: 'Ada', emailVerified: true }),
    createUser({ email: 'grace@example.com', password: 'hopper-1906', name: 'Grace', emailVerified: true }),
  ]);
  const { id: organizationId } = await createOrganization({ name: 'Acme', owner: ada.id });
  await addMember({ organizationId, userId: grace.id, actor: ada.id });
  const working = [
    ['red', ada.id],
    ['blue', grace.id],
  ] as const;
  for (const [name, userId] of working) {
    const { id: teamId } = await createTeam({ organizationId, name, actor: ada.id });
    await addTeamMember({ organizationId, teamId, userId, actor: ada.id });
    await setCurrentTeam({ organizationId, userId, teamId }); // that of a request which names no other in X-Team-Id
  }
}
if (!(await Users().exists({ email: 'ada@example.com' }))) await seed();

const app = new Koa();
app.use(problems());
for (const router of [authRouter({ keys }), organizationRouter({ keys }), api])
  app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
console.log(`${await countOpen()} open projects`);
