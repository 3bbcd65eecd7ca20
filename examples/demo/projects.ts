import Router from '@koa/router';
import Joi from 'joi';
import {
  answers,
  body,
  endpoint,
  type Guard,
  organization,
  query,
  requireScope,
  type SignedIn,
  TollgateError,
  team,
  tenant,
  tenantScoped,
} from 'koa-tollgate';
import { type Connection, type InferSchemaType, isObjectIdOrHexString, Schema, type Types } from 'mongoose';
import { projectList, projectResource } from './answers.js';

const projectSchema = new Schema(
  {
    name: { type: String, required: true },
    description: { type: String, default: '' },
    done: { type: Boolean, default: false },
    createdAt: Date,
    updatedAt: Date,
  },
  { collection: 'projects', strict: 'throw' },
);
projectSchema.set('timestamps', true);
projectSchema.plugin(tenantScoped, { by: 'team' });

/** The demo's projects, which belong to teams; a user without a team has their own. */
export const Projects = (connection: Connection) =>
  (connection.models.Project as ReturnType<typeof compile>) ?? compile(connection);

const compile = (connection: Connection) => connection.model('Project', projectSchema);

type Stored = InferSchemaType<typeof projectSchema> & { _id: Types.ObjectId };

const shown = ({ _id, name, description, done, createdAt }: Stored) => ({
  id: String(_id),
  name,
  description,
  done,
  createdAt,
});

const hexId = Joi.string().hex().length(24);
const fields = { name: Joi.string().trim().min(1).max(200), description: Joi.string().allow('').max(2_000) };
const changes = { ...fields, done: Joi.boolean() };

/** The id in the path; one that is malformed is like one that does not exist. */
function readId(id: unknown): string {
  if (typeof id === 'string' && isObjectIdOrHexString(id)) return id;
  throw new TollgateError('not_found');
}

/** The project tracker: whatever a handler asks for, it gets of the request's team, or of the user without one. */
export function projectRoutes(connection: Connection, signedIn: Guard<{}, SignedIn>): Router {
  const router = new Router({ prefix: '/projects' });
  const model = Projects(connection);

  router.get(
    '/',
    answers(200, projectList),
    endpoint(
      query({ limit: Joi.number().integer().min(1).max(100).default(25) }, { cursor: hexId }),
      signedIn,
      requireScope('projects.read'),
      organization(),
      team(),
      tenant(),
      async function list(ctx) {
        const { limit, cursor } = ctx.state.query;
        const projects = ctx.state.tenant.model(model);
        const after = cursor === undefined ? {} : { _id: { $gt: cursor } };
        const rows = await projects.find(after).sort({ _id: 1 }).limit(limit + 1).lean(); // biome-ignore format: one line
        const items = rows.slice(0, limit).map(shown);
        ctx.body = { items, nextCursor: rows.length > limit ? items.at(-1)?.id : null };
      },
    ),
  );

  router.post(
    '/',
    answers(201, projectResource),
    endpoint(
      body({ name: fields.name.required() }, { description: fields.description }),
      signedIn,
      requireScope('projects.write'),
      organization(),
      team(),
      tenant(),
      async function create(ctx) {
        const project = await ctx.state.tenant.model(model).insertOne(ctx.request.body);
        ctx.status = 201;
        ctx.set('Location', `/api/projects/${project._id}`);
        ctx.body = shown(project);
      },
    ),
  );

  router.get(
    '/:id',
    answers(200, projectResource, 'not_found'),
    endpoint(
      query({}),
      signedIn,
      requireScope('projects.read'),
      organization(),
      team(),
      tenant(),
      async function show(ctx) {
        const project = await ctx.state.tenant.model(model).findById(readId(ctx.params.id)).lean();
        ctx.body = shown(project ?? ctx.throw(404));
      },
    ),
  );

  router.patch(
    '/:id',
    answers(200, projectResource, 'not_found'),
    endpoint(
      body({}, changes),
      signedIn,
      requireScope('projects.write'),
      organization(),
      team(),
      tenant(),
      async function change(ctx) {
        const projects = ctx.state.tenant.model(model);
        const update = { $set: ctx.request.body };
        const project = await projects
          .findByIdAndUpdate(readId(ctx.params.id), update, { returnDocument: 'after' })
          .lean();
        ctx.body = shown(project ?? ctx.throw(404));
      },
    ),
  );

  router.delete(
    '/:id',
    answers(204, null, 'not_found'),
    endpoint(
      body({}),
      signedIn,
      requireScope('projects.write'),
      organization(),
      team(),
      tenant(),
      async function remove(ctx) {
        const { deletedCount } = await ctx.state.tenant
          .model(model)
          .deleteOne({ _id: readId(ctx.params.id) });
        ctx.status = deletedCount === 1 ? 204 : ctx.throw(404);
      },
    ),
  );

  return router;
}
