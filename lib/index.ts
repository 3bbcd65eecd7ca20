export type { AuditEntry } from './audit/as-audit-entry.js';
export type { AuditHead } from './audit/audit-head.js';
export type { AuditFault } from './audit/check-entry.js';
export { type AuditRecord, type AuditTarget, type Origin, recordAudit } from './audit/record-audit.js';
export { type SearchAudit, searchAudit } from './audit/search-audit.js';
export { verifyAllAudit, type WholeVerification } from './audit/verify-all-audit.js';
export { type AuditVerification, type VerifyAudit, verifyAudit } from './audit/verify-audit.js';
export type { AuditProblem } from './audit/walk-audit.js';
export { type ErrorCode, errorCodes, isTollgateError, TollgateError } from './errors.js';
export { answers } from './middleware/answers.js';
export { type Audited, type AuditOptions, audit } from './middleware/audit.js';
export {
  type AuthenticateOptions,
  authenticate,
  type CredentialKind,
  type MaybeSignedIn,
  type SignedIn,
  type SignedInByApiKey,
  type SignedInBySession,
  type SignedInByStytch,
} from './middleware/authenticate.js';
export { body, type WithBody } from './middleware/body.js';
export { type Credential, type Description, described, type JsonSchema } from './middleware/described.js';
export { endpoint } from './middleware/endpoint.js';
export type { Entitled, EntitlementOptions } from './middleware/entitlement-guard.js';
export type { Guard } from './middleware/guard.js';
export { type IdempotentOptions, idempotent } from './middleware/idempotent.js';
export { type Identify, identify } from './middleware/identify.js';
export {
  type InOrganization,
  type MaybeInOrganization,
  type OrganizationOptions,
  organization,
} from './middleware/organization.js';
export { type ProblemsOptions, problems } from './middleware/problems.js';
export { query, type WithQuery } from './middleware/query.js';
export { type QuotaOptions, quota, type WithQuota } from './middleware/quota.js';
export { type RateLimitOptions, rateLimit } from './middleware/rate-limit.js';
export { type Identified, requestId } from './middleware/request-id.js';
export { requireAllEntitlements } from './middleware/require-all-entitlements.js';
export { requireAnyEntitlement } from './middleware/require-any-entitlement.js';
export { type ClaimRule, requireClaims } from './middleware/require-claims.js';
export { requireEntitlement } from './middleware/require-entitlement.js';
export { requireFactor } from './middleware/require-factor.js';
export { requireOrganizationRole } from './middleware/require-organization-role.js';
export { type PermissionOptions, requirePermission } from './middleware/require-permission.js';
export { requireRecentSignIn } from './middleware/require-recent-sign-in.js';
export { requireRole } from './middleware/require-role.js';
export { requireSameOrigin } from './middleware/require-same-origin.js';
export { requireScope } from './middleware/require-scope.js';
export { requireVerifiedEmail } from './middleware/require-verified-email.js';
export type { SubjectChoice } from './middleware/subject-of.js';
export { type InTeam, team } from './middleware/team.js';
export { tenant, type WithTenant } from './middleware/tenant.js';
export { ApiKeys, apiKeySchema } from './models/api-key.js';
export { AuditEntries, auditEntrySchema } from './models/audit-entry.js';
export { AuditHeads, auditHeadSchema } from './models/audit-head.js';
export { Budgets, budgetSchema } from './models/budget.js';
export { Claims, claimSchema } from './models/claim.js';
export { Grants, grantSchema } from './models/grant.js';
export { Invitations, invitationSchema } from './models/invitation.js';
export { Memberships, membershipSchema } from './models/membership.js';
export { OneTimeTokens, oneTimeTokenSchema } from './models/one-time-token.js';
export { Organizations, organizationSchema } from './models/organization.js';
export { Outbox, outboxSchema } from './models/outbox.js';
export { Plans, planSchema } from './models/plan.js';
export { Reservations, reservationSchema } from './models/reservation.js';
export { Roles, roleSchema } from './models/role.js';
export { Sessions, sessionSchema } from './models/session.js';
export { Subscriptions, subscriptionSchema } from './models/subscription.js';
export { Teams, teamSchema } from './models/team.js';
export { Usage, usageSchema } from './models/usage.js';
export { Users, userSchema } from './models/user.js';
export { type AdminRouterOptions, adminRouter } from './routers/admin-router.js';
export type { AuthFeature, AuthFeatures } from './routers/auth/features.js';
export { type AuthRouterOptions, authRouter } from './routers/auth-router.js';
export { billingRouter } from './routers/billing-router.js';
export { type HealthCheck, type HealthOptions, healthRouter } from './routers/health-router.js';
export { invitationRouter } from './routers/invitation-router.js';
export { type OAuthOptions, oauthRouter } from './routers/oauth-router.js';
export { type OpenapiOptions, openapiRouter } from './routers/openapi-router.js';
export { organizationRouter } from './routers/organization-router.js';
export { planRouter } from './routers/plan-router.js';
export type { ApiKey } from './runtime/api-key.js';
export type { SigningAlgorithm, SigningKey } from './runtime/keyring.js';
export type { MailKind, MailMessage, MailTemplate, MailTemplates, SendMail } from './runtime/mail.js';
export type { SharedOptions } from './runtime/options.js';
export { optionsFromEnv } from './runtime/options-from-env.js';
export type { OAuthProvider, Providers, TelegramProvider } from './runtime/providers.js';
export type { RedisClient } from './runtime/redis.js';
export type { StytchOptions } from './runtime/stytch-options.js';
export type { Subject } from './runtime/subject.js';
export * from './runtime/user.js'; // all of it, or an application could not merge into UserFields
export type { OrganizationSummary } from './services/administration/list-all-organizations.js';
export { type ListUsers, listUsers } from './services/administration/list-users.js';
export { type UnlockUser, unlockUser } from './services/administration/unlock-user.js';
export { type UserUpdate, updateUser } from './services/administration/update-user.js';
export { type AnnounceChange, announceChange } from './services/announce-change.js';
export type { ShownApiKey } from './services/api-keys/as-api-key.js';
export { createApiKey, type NewApiKey } from './services/api-keys/create-api-key.js';
export { type DeleteApiKey, deleteApiKey } from './services/api-keys/delete-api-key.js';
export { type ListApiKeys, listApiKeys } from './services/api-keys/list-api-keys.js';
export { type RotateApiKey, rotateApiKey } from './services/api-keys/rotate-api-key.js';
export { type CleanedUp, cleanUp } from './services/clean-up.js';
export { type AddPasskey, addPasskey } from './services/factors/add-passkey.js';
export type { Asker } from './services/factors/asker.js';
export { challengePasskey } from './services/factors/challenge-passkey.js';
export { type ConfirmTotp, confirmTotp } from './services/factors/confirm-totp.js';
export { type EnrolTotp, enrolTotp, type TotpEnrolment } from './services/factors/enrol-totp.js';
export { type ListPasskeys, listPasskeys } from './services/factors/list-passkeys.js';
export { type OfferPasskey, offerPasskey } from './services/factors/offer-passkey.js';
export type { AuthenticationResponse, Passkey, RegistrationResponse } from './services/factors/passkey.js';
export { type RemovePasskey, removePasskey } from './services/factors/remove-passkey.js';
export { removeTotp } from './services/factors/remove-totp.js';
export { type PasskeySignIn, signInByPasskey } from './services/factors/sign-in-by-passkey.js';
export { type SecondFactor, verifySecondFactor } from './services/factors/verify-second-factor.js';
export {
  type LinkedIdentity,
  type ListIdentities,
  listIdentities,
} from './services/federation/list-identities.js';
export type { NewPerson, Provision } from './services/federation/sign-in-by-identity.js';
export type { StytchSession } from './services/federation/stytch-session.js';
export { type UnlinkIdentity, unlinkIdentity } from './services/federation/unlink-identity.js';
export {
  type StytchSignedIn,
  type VerifyStytchSession,
  verifyStytchSession,
} from './services/federation/verify-stytch-session.js';
export {
  changeEmail,
  confirmEmail,
  type EmailChange,
  type EmailConfirmation,
} from './services/identity/change-email.js';
export { changePassword, type PasswordChange } from './services/identity/change-password.js';
export { createUser, type NewUser } from './services/identity/create-user.js';
export { type DeactivateUser, deactivateUser } from './services/identity/deactivate-user.js';
export { type EraseSubject, eraseSubject } from './services/identity/erase-subject.js';
export { type ExportSubject, exportSubject } from './services/identity/export-subject.js';
export { forgotPassword, type MailToAccount, sendOtp } from './services/identity/forgot-password.js';
export { type Reauthentication, reauthenticate } from './services/identity/reauthenticate.js';
export {
  checkResetToken,
  type PasswordReset,
  type ResetToken,
  resetPassword,
} from './services/identity/reset-password.js';
export { type SendVerification, sendVerification } from './services/identity/send-verification.js';
export { type Credentials, signIn } from './services/identity/sign-in.js';
export { type PendingSignUp, type SignUp, signUp } from './services/identity/sign-up.js';
export { type ProfileUpdate, updateProfile } from './services/identity/update-profile.js';
export { type VerifyEmail, verifyEmail } from './services/identity/verify-email.js';
export { type OtpSignIn, verifyOtp } from './services/identity/verify-otp.js';
export { type ActivePlan, activePlan } from './services/plans/active-plan.js';
export type { ShownAllowance, ShownFeature, ShownPlan } from './services/plans/as-plan.js';
export { type AssignPlan, assignPlan } from './services/plans/assign-plan.js';
export type { Authority } from './services/plans/authority.js';
export { type CancelPlan, cancelPlan } from './services/plans/cancel-plan.js';
export {
  type Consumption,
  consumeQuota,
  type Refund,
  refundQuota,
} from './services/plans/consume-quota.js';
export { createPlan, type NewPlan } from './services/plans/create-plan.js';
export {
  definePlans,
  type FeatureOf,
  type MeteredFeature,
  type PlanDefinitions,
} from './services/plans/define-plans.js';
export { type EntitlementsOf, entitlementsOf } from './services/plans/entitlements-of.js';
export type { Allowance, CreditPrice, Feature, PlanDefinition } from './services/plans/features.js';
export { type Grant, type GrantCredits, grantCredits } from './services/plans/grant-credits.js';
export type { Entitlements } from './services/plans/granted.js';
export type { SubjectOperation } from './services/plans/operate.js';
export type { QuotaState } from './services/plans/quota-state.js';
export { type ResetUsage, resetUsage } from './services/plans/reset-usage.js';
export { type SyncPlans, syncPlans } from './services/plans/sync-plans.js';
export { type PlanUpdate, updatePlan } from './services/plans/update-plan.js';
export {
  type LimitChanges,
  type UpdatePlanLimits,
  updatePlanLimits,
} from './services/plans/update-plan-limits.js';
export { type QuotaWrite, type WithRun, type WithWrites, withQuota } from './services/plans/with-quota.js';
export { type WithinLimit, withinLimit } from './services/plans/within-limit.js';
export { ready } from './services/ready.js';
export type { Committed, Reservation } from './services/reservations/as-reservation.js';
export { type CommitReservation, commitReservation } from './services/reservations/commit-reservation.js';
export { type ReleaseReservation, releaseReservation } from './services/reservations/release-reservation.js';
export { type ReserveQuota, reserveQuota } from './services/reservations/reserve-quota.js';
export type { Role } from './services/roles/as-role.js';
export { type CheckPermission, checkPermission } from './services/roles/check-permission.js';
export { type DeleteRole, deleteRole } from './services/roles/delete-role.js';
export { type ListRoles, listRoles } from './services/roles/list-roles.js';
export type { ManagedRoles, ManagementAction, ManagementRules } from './services/roles/management.js';
export { type HeldRoles, type RolesOf, rolesOf } from './services/roles/roles-of.js';
export { type SaveRole, saveRole } from './services/roles/save-role.js';
export type { Session } from './services/sessions/as-session.js';
export { type ListSessions, listSessions } from './services/sessions/list-sessions.js';
export { type Refresh, refreshSession } from './services/sessions/refresh-session.js';
export { type RevokeSessions, revokeSessions } from './services/sessions/revoke-sessions.js';
export { type SignOut, signOut } from './services/sessions/sign-out.js';
export type { SignedInSession } from './services/sessions/start-session.js';
export { type ShutDown, shutDown } from './services/shut-down.js';
export { type AcrossTenants, type AllTenants, acrossTenants } from './services/tenancy/across-tenants.js';
export type { Membership, Organization, Team } from './services/tenancy/as-organization.js';
export { createOrganization, type NewOrganization } from './services/tenancy/create-organization.js';
export { deleteOrganization } from './services/tenancy/delete-organization.js';
export type { Act } from './services/tenancy/in-organization.js';
export {
  type AcceptedInvitation,
  acceptInvitation,
} from './services/tenancy/invitations/accept-invitation.js';
export type { Invitation } from './services/tenancy/invitations/as-invitation.js';
export { declineInvitation } from './services/tenancy/invitations/decline-invitation.js';
export type { InvitationAnswer } from './services/tenancy/invitations/invitation-by-token.js';
export { type InviteMember, inviteMember } from './services/tenancy/invitations/invite-member.js';
export { type ListInvitations, listInvitations } from './services/tenancy/invitations/list-invitations.js';
export { type ResendInvitation, resendInvitation } from './services/tenancy/invitations/resend-invitation.js';
export { type RevokeInvitation, revokeInvitation } from './services/tenancy/invitations/revoke-invitation.js';
export { type ListOrganizations, listOrganizations } from './services/tenancy/list-organizations.js';
export { type AddMember, addMember } from './services/tenancy/members/add-member.js';
export type { Member } from './services/tenancy/members/as-member.js';
export { type LeaveOrganization, leaveOrganization } from './services/tenancy/members/leave-organization.js';
export { type ListMembers, listMembers } from './services/tenancy/members/list-members.js';
export { type MemberOf, memberOf } from './services/tenancy/members/member-of.js';
export { type RemoveMember, removeMember } from './services/tenancy/members/remove-member.js';
export { type OwnershipTransfer, transferOwnership } from './services/tenancy/members/transfer-ownership.js';
export { type MemberUpdate, updateMember } from './services/tenancy/members/update-member.js';
export { type OrganizationDetails, organizationDetails } from './services/tenancy/organization-details.js';
export { type Seats, setSeats } from './services/tenancy/set-seats.js';
export { addTeamMember, type TeamMembership } from './services/tenancy/teams/add-team-member.js';
export { createTeam, type NewTeam } from './services/tenancy/teams/create-team.js';
export { type DeleteTeam, deleteTeam } from './services/tenancy/teams/delete-team.js';
export { type ListTeams, listTeams } from './services/tenancy/teams/list-teams.js';
export { removeTeamMember } from './services/tenancy/teams/remove-team-member.js';
export { renameTeam, type TeamRename } from './services/tenancy/teams/rename-team.js';
export { type CurrentTeam, setCurrentTeam } from './services/tenancy/teams/set-current-team.js';
export { type OrganizationUpdate, updateOrganization } from './services/tenancy/update-organization.js';
export type { Balance, FeatureUsage } from './services/usage/as-usage.js';
export { checkQuota, type QuotaCheck } from './services/usage/check-quota.js';
export { type Explain, type Explanation, explain } from './services/usage/explain.js';
export { type UsageOf, usageOf } from './services/usage/usage-of.js';
export { declareGlobal } from './tenancy/declare-global.js';
export type { TenantModel } from './tenancy/tenant-handle.js';
export { type CompiledModel, type Tenant, type TenantOf, tenantOf } from './tenancy/tenant-of.js';
export { type TenantScopedOptions, tenantScoped } from './tenancy/tenant-scoped.js';
export { sealAudit } from './worker/seal-audit.js';
export { startWorker, type Worker, type WorkerOptions } from './worker/start-worker.js';
export type { ThresholdEvent } from './worker/threshold-event.js';
