export { type AuditRecord, type Origin, recordAudit } from './audit/record-audit.js';
export { type ErrorCode, errorCodes, isTollgateError, TollgateError } from './errors.js';
export {
  type AuthenticateOptions,
  authenticate,
  type MaybeSignedIn,
  type SignedIn,
  type SignedInBySession,
} from './middleware/authenticate.js';
export { body, type WithBody } from './middleware/body.js';
export { endpoint } from './middleware/endpoint.js';
export type { Entitled, EntitlementOptions } from './middleware/entitlement-guard.js';
export type { Guard } from './middleware/guard.js';
export {
  type InOrganization,
  type MaybeInOrganization,
  type OrganizationOptions,
  organization,
} from './middleware/organization.js';
export { type ProblemsOptions, problems } from './middleware/problems.js';
export { query, type WithQuery } from './middleware/query.js';
export { type QuotaOptions, quota, type WithQuota } from './middleware/quota.js';
export { type Identified, requestId } from './middleware/request-id.js';
export { requireAllEntitlements } from './middleware/require-all-entitlements.js';
export { requireAnyEntitlement } from './middleware/require-any-entitlement.js';
export { requireEntitlement } from './middleware/require-entitlement.js';
export { requireRecentSignIn } from './middleware/require-recent-sign-in.js';
export { requireRole } from './middleware/require-role.js';
export { requireSameOrigin } from './middleware/require-same-origin.js';
export { requireVerifiedEmail } from './middleware/require-verified-email.js';
export type { SubjectChoice } from './middleware/subject-of.js';
export { type InTeam, team } from './middleware/team.js';
export { AuditEntries, auditEntrySchema } from './models/audit-entry.js';
export { Memberships, membershipSchema } from './models/membership.js';
export { OneTimeTokens, oneTimeTokenSchema } from './models/one-time-token.js';
export { Organizations, organizationSchema } from './models/organization.js';
export { Plans, planSchema } from './models/plan.js';
export { Roles, roleSchema } from './models/role.js';
export { Sessions, sessionSchema } from './models/session.js';
export { Subscriptions, subscriptionSchema } from './models/subscription.js';
export { Teams, teamSchema } from './models/team.js';
export { Usage, usageSchema } from './models/usage.js';
export { Users, userSchema } from './models/user.js';
export { authRouter } from './routers/auth-router.js';
export { type HealthCheck, type HealthOptions, healthRouter } from './routers/health-router.js';
export { organizationRouter } from './routers/organization-router.js';
export type { SigningAlgorithm, SigningKey } from './runtime/keyring.js';
export type { SharedOptions } from './runtime/options.js';
export { optionsFromEnv } from './runtime/options-from-env.js';
export type { Subject } from './runtime/subject.js';
export { type AnnounceChange, announceChange } from './services/announce-change.js';
export { createUser, type NewUser } from './services/identity/create-user.js';
export { type Credentials, signIn } from './services/identity/sign-in.js';
export * from './services/identity/user.js'; // all of it, or an application could not merge into UserFields
export { type AssignPlan, assignPlan } from './services/plans/assign-plan.js';
export {
  type Consumption,
  consumeQuota,
  type Refund,
  refundQuota,
} from './services/plans/consume-quota.js';
export { type Entitlements, type EntitlementsOf, entitlementsOf } from './services/plans/entitlements-of.js';
export type { Allowance, Feature, PlanDefinition } from './services/plans/features.js';
export type { QuotaState } from './services/plans/quota-state.js';
export { type SyncPlans, syncPlans } from './services/plans/sync-plans.js';
export { ready } from './services/ready.js';
export type { Session } from './services/sessions/as-session.js';
export { type ListSessions, listSessions } from './services/sessions/list-sessions.js';
export { type Refresh, refreshSession } from './services/sessions/refresh-session.js';
export { type RevokeSessions, revokeSessions } from './services/sessions/revoke-sessions.js';
export { type SignOut, signOut } from './services/sessions/sign-out.js';
export type { SignedInSession } from './services/sessions/start-session.js';
export type { Membership, Organization, Team } from './services/tenancy/as-organization.js';
export { createOrganization, type NewOrganization } from './services/tenancy/create-organization.js';
