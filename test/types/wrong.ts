import Router from '@koa/router';
import Joi from 'joi';
import {
  authenticate,
  body,
  definePlans,
  endpoint,
  type InOrganization,
  type MeteredFeature,
  organization,
  query,
  quota,
  requireAnyEntitlement,
  requireClaims,
  requireEntitlement,
  requireOrganizationRole,
  requirePermission,
  requireRole,
  requireScope,
  type SignedIn,
  team,
  tenant,
  tenantScoped,
  type WithQuota,
} from 'koa-tollgate';
import { model, Schema } from 'mongoose';

// Each line that ends in a code must not compile, for that reason; every other line must.
const keys = ['a secret of more than thirty-two bytes'];
const router = new Router<SignedIn>();
const signedIn = authenticate({ keys });

router.get('/router', (ctx) => {
  ctx.body = ctx.state.usr; // TS2551
  ctx.body = ctx.state.organization; // TS2339
  ctx.body = ctx.state.user.emial; // TS2551
  ctx.body = ctx.state.user.fulName; // TS2551
});
router.get<InOrganization & WithQuota<'images'>>('/named', organization(), quota('images'), (ctx) => {
  ctx.body = ctx.state.organization.slgu; // TS2339
  ctx.body = ctx.state.quota.tokens; // TS2339
});

router.get(
  '/endpoint',
  endpoint(signedIn, organization(), quota('images'), (ctx) => {
    ctx.body = ctx.state.usr; // TS2551
    ctx.body = ctx.state.team; // TS2339
    ctx.body = ctx.state.quota.imagse; // TS2551
    ctx.body = ctx.state.membership.rol; // TS2551
  }),
);
router.get(
  '/maybe',
  endpoint(authenticate({ keys, optional: true }), (ctx) => {
    ctx.body = ctx.state.user.email; // TS18047
  }),
);

router.get(
  '/machine',
  endpoint(authenticate({ keys, accept: ['apiKey'] }), (ctx) => {
    ctx.body = ctx.state.session.id; // TS18047
    ctx.body = ctx.state.apiKey.hash; // TS2339
  }),
);
router.get(
  '/either',
  endpoint(signedIn, (ctx) => {
    ctx.body = ctx.state.apiKey.prefix; // TS18047
    ctx.body = ctx.state.session.id; // TS18047
  }),
);

const projectSchema = new Schema({ name: { type: String, required: true } });
projectSchema.plugin(tenantScoped, { by: 'user' }); // TS2769
const Project = model('Project', projectSchema);
router.get(
  '/projects',
  endpoint(signedIn, organization(), team(), tenant(), async (ctx) => {
    const projects = ctx.state.tenant.model(Project);
    projects.watch(); // TS2339
    projects.collection; // TS2339
    projects.estimatedDocumentCount(); // TS2339
    const found = await projects.findOne().orFail();
    ctx.body = found.nmae; // TS2339
    ctx.state.tenant.model({ find: () => {} }); // TS2353
  }),
);

const done = () => {};
router.get('/1', endpoint(requireRole('admin'), done)); // TS2345
router.get('/2', endpoint(requireRole('admin'), signedIn, done)); // TS2345
router.get('/3', endpoint(signedIn, team(), done)); // TS2345
router.get('/4', endpoint(signedIn, team(), organization(), done)); // TS2345
router.get('/5', endpoint(quota('images'), done)); // TS2345
router.get('/6', endpoint(authenticate({ keys, optional: true }), requireEntitlement('reports'), done)); // TS2345
router.get('/8', endpoint(signedIn, tenant(), done)); // TS2345
router.get('/9', endpoint(signedIn, organization({ optional: true }), tenant(), done)); // TS2345
router.get('/7', endpoint(authenticate({ keys, optional: true }), organization(), done)); // TS2345

router.get('/8', endpoint(signedIn, requireOrganizationRole('owner'), done)); // TS2345
router.get('/9', endpoint(requirePermission('projects.read'), signedIn, done)); // TS2345

router.post(
  '/body',
  body({ name: Joi.string() }, { age: Joi.number() }),
  query({ limit: Joi.number() }),
  endpoint(body({ name: Joi.string() }, { age: Joi.number() }), query({ limit: Joi.number() }), (ctx) => {
    ctx.body = ctx.request.body.nmae; // TS2339
    ctx.body = ctx.request.body.name.toFixed(); // TS2551
    ctx.body = ctx.request.body.age.toFixed(); // TS18048
    ctx.body = ctx.state.query.limti; // TS2551
    ctx.body = ctx.state.query.limit.trim(); // TS2339
  }),
);
router.post('/router-body', body({ name: Joi.string() }), (ctx) => {
  ctx.body = ctx.request.body.nmae; // TS2339
});

authenticate({}); // compiles: that keys are missing is said when it is called
authenticate({ keys, isuer: 'us' }); // TS2769
authenticate({ keys: 'not a list' }); // TS2769
requireRole(); // TS2555
requireScope(['images']); // TS2345
requirePermission(); // TS2554
requirePermission([]); // TS2345
requireOrganizationRole(); // TS2555
requireClaims('tier'); // TS2345
authenticate({ keys, accept: ['cookie'] }); // TS2769
quota('images', { refund: 'always' }); // TS2769

const plans = definePlans({
  free: { name: 'Free', tier: 0, features: { images: { limit: 1, per: 'day' }, projects: 3, reports: true } },
});
requireEntitlement(plans, 'reprots'); // TS2769
requireEntitlement(plans, ['reports']); // TS2769
quota(plans, 'imagse'); // TS2769
quota(plans, 'reports'); // TS2769
requireAnyEntitlement(plans, ['reports', 'imagse']); // TS2769
const counted = (_code: MeteredFeature<typeof plans>) => {};
counted('imagse'); // TS2345
counted('reports'); // TS2345
counted('projects'); // TS2345
definePlans({ a: { name: 'A', tier: 0, features: { images: { limit: 1, per: 'week' } } } }); // TS2322
definePlans({ a: { name: 'A', tier: 0, features: { images: false } } }); // TS2322
definePlans({ a: { name: 'A', features: {} } }); // TS2741
