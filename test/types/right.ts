import Router from '@koa/router';
import Joi from 'joi';
import {
  assignPlan,
  authenticate,
  body,
  definePlans,
  type Entitled,
  endpoint,
  type FeatureOf,
  type Guard,
  type InOrganization,
  type MeteredFeature,
  organization,
  query,
  quota,
  requireAllEntitlements,
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

/** Fails to compile unless `Actual` is exactly `Expected`; `any` is not. */
type Same<Actual, Expected> =
  (<T>() => T extends Actual ? 1 : 2) extends <T>() => T extends Expected ? 1 : 2 ? true : false;
const holds = <Claim extends true>(_claim?: Claim): void => {};

const keys = ['a secret of more than thirty-two bytes'];
const router = new Router<SignedIn>();

router.use(authenticate({ keys }));
router.get('/me', requireRole('admin'), (ctx) => {
  const { roles, fullName } = ctx.state.user;
  holds<Same<typeof roles, readonly string[]>>();
  holds<Same<typeof fullName, string>>();
});
router.post<Entitled & WithQuota<'images'>>(
  '/images',
  requireEntitlement('images'),
  quota('images'),
  (ctx) => {
    holds<Same<typeof ctx.state.tier, number>>();
    holds<Same<typeof ctx.state.quota.images.remaining, number | null>>();
  },
);
router.get<InOrganization>('/here', organization(), (ctx) => {
  holds<Same<typeof ctx.state.organization.plan, string | null>>();
});

router.post(
  '/all',
  endpoint(
    authenticate({ keys }),
    body({ name: Joi.string() }, { age: Joi.number(), tags: Joi.array().items(Joi.string()) }),
    query({ limit: Joi.number().default(25) }),
    organization({ optional: true }),
    team(),
    requireRole('designer'),
    quota('images'),
    quota('tokens'),
    (ctx) => {
      const { name, age } = ctx.request.body;
      holds<Same<typeof name, string>>();
      holds<Same<typeof age, number | undefined>>();
      holds<Same<typeof ctx.state.query.limit, number>>();
      holds<Same<typeof ctx.state.user.fullName, string>>();
      const slug = ctx.state.organization?.slug;
      holds<Same<typeof slug, string | undefined>>();
      const id = ctx.state.team?.id;
      holds<Same<typeof id, string | undefined>>();
      holds<Same<typeof ctx.state.quota.images.limit, number | null>>();
      holds<Same<typeof ctx.state.quota.tokens.limit, number | null>>();
    },
  ),
);

router.get(
  '/board',
  endpoint(
    authenticate({ keys }),
    organization(),
    requirePermission(['projects.read', 'projects.write'], { strict: true }),
    requireOrganizationRole('owner', 'editor'),
    (ctx) => {
      holds<Same<typeof ctx.state.membership.role, string>>();
    },
  ),
);

router.get(
  '/browser',
  endpoint(authenticate({ keys, accept: ['session'] }), (ctx) => {
    const { session, apiKey } = ctx.state;
    holds<Same<typeof session.id, string>>();
    holds<Same<typeof apiKey, null>>();
  }),
);
router.get(
  '/machine',
  endpoint(authenticate({ keys, accept: ['apiKey'] }), requireScope('images.read'), (ctx) => {
    const { session, apiKey } = ctx.state;
    holds<Same<typeof session, null>>();
    holds<Same<typeof apiKey.scopes, readonly string[]>>();
  }),
);
router.get(
  '/either',
  endpoint(authenticate({ keys, accept: ['session', 'apiKey'] }), requireClaims({ tier: 'gold' }), (ctx) => {
    const prefix = ctx.state.apiKey?.prefix;
    holds<Same<typeof prefix, string | undefined>>();
    holds<Same<typeof ctx.state.claims, Readonly<Record<string, unknown>>>>();
  }),
);
router.get(
  '/hello',
  endpoint(authenticate({ keys, optional: true }), (ctx) => {
    const name = ctx.state.user?.name;
    holds<Same<typeof name, string | null | undefined>>();
  }),
);

const plans = definePlans({
  free: {
    name: 'Free',
    tier: 0,
    default: true,
    features: { images: { limit: 10, per: 'month' }, projects: 3 },
  },
  pro: {
    name: 'Pro',
    tier: 1,
    features: {
      images: { limit: 'unlimited', per: 'month' },
      tokens: {
        limit: 1_000,
        per: 'day',
        rollover: { cap: 500, periods: 2 },
        overage: { cap: 'unlimited' },
      },
      videos: { credits: 3 },
      reports: true,
    },
  },
});
holds<Same<FeatureOf<typeof plans>, 'images' | 'projects' | 'tokens' | 'videos' | 'reports'>>();
holds<Same<MeteredFeature<typeof plans>, 'images' | 'tokens' | 'videos'>>();
holds<Same<typeof plans.pro.features.videos.credits, 3>>();
router.get<Entitled>(
  '/typed',
  requireEntitlement(plans, 'reports'),
  requireAnyEntitlement(plans, ['videos', 'reports'], { subject: 'user' }),
  requireAllEntitlements(plans, ['images']),
  (ctx) => {
    holds<Same<typeof ctx.state.tier, number>>();
  },
);
router.get(
  '/typed-endpoint',
  endpoint(authenticate({ keys }), requireEntitlement(plans, 'projects'), quota(plans, 'tokens'), (ctx) => {
    holds<Same<typeof ctx.state.entitlements, readonly string[]>>();
    const { remaining } = ctx.state.quota.tokens;
    holds<Same<typeof remaining, number | null>>();
  }),
);

router.put('/typed-context', async (ctx) => {
  await assignPlan({
    subject: { type: 'user', id: ctx.state.user.id },
    plan: 'pro',
    context: ctx.state.user,
    authorize: ({ roles }) => roles.includes('admin'),
  });
});

const projectSchema = new Schema({ name: { type: String, required: true }, size: Number });
projectSchema.plugin(tenantScoped, { by: 'team' });
const Project = model('Project', projectSchema);
router.get(
  '/projects',
  endpoint(authenticate({ keys }), organization(), team(), tenant(), async (ctx) => {
    const projects = ctx.state.tenant.model(Project);
    const found = await projects.find({ name: 'x' }).lean();
    const size = found[0]?.size;
    holds<Same<typeof size, number | null | undefined>>();
    const made = await projects.create({ name: 'x' });
    holds<Same<typeof made.name, string>>();
    const count = await projects.countDocuments();
    holds<Same<typeof count, number>>();
  }),
);

/** A guard of the application's own. */
const requireAda: Guard<SignedIn, { readonly isAda: true }> = async (ctx, next) => {
  if (ctx.state.user.email !== 'ada@example.com') ctx.throw(403);
  Object.assign(ctx.state, { isAda: true });
  await next();
};
router.get(
  '/ada',
  endpoint(authenticate({ keys }), requireAda, (ctx) => {
    holds<Same<typeof ctx.state.isAda, true>>();
  }),
);
