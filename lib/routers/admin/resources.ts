import type { JsonSchema } from '../../middleware/described.js';
import { count, flag, maybe, maybeMoment, object, text } from '../resources.js';

/** An organization as an administrator of the application sees it. */
export const organizationSummary = {
  title: 'OrganizationSummary',
  ...object({
    id: text,
    name: text,
    slug: text,
    plan: maybe,
    members: count,
    owners: count,
    createdAt: maybeMoment,
  }),
} satisfies JsonSchema;

const problem = object({ id: maybe, problem: text, organizationId: maybe });
const head = object({ organizationId: maybe, seq: count, chain: text, keyId: text, mac: text });

/** What is wrong with the audit log, and where its chains end. */
export const verificationResource = {
  title: 'AuditVerification',
  ...object({
    ok: flag,
    checked: count,
    problems: { type: 'array', items: problem },
    heads: { type: 'array', items: head },
  }),
} satisfies JsonSchema;
