import Joi from 'joi';
import { opened } from '../runtime/connection.js';
import { objectId } from '../runtime/ids.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { type AuditHead, headFault, headSchema, keptFault, storedHead } from './audit-head.js';
import { type AuditProblem, type Walk, walkOn } from './walk-audit.js';

export interface VerifyAudit {
  /** Whose chain is verified. Default: null, that of what belongs to no organization. */
  organizationId?: string | null | undefined;
  /** What an earlier verification gave, and was kept where nobody can change it. */
  head?: AuditHead | null | undefined;
}

export interface AuditVerification {
  readonly ok: boolean;
  /** Entries that were read. */
  readonly checked: number;
  readonly problems: readonly AuditProblem[];
  /** The end of the chain now; null when nothing is sealed. */
  readonly head: AuditHead | null;
}

const own = {
  organizationId: Joi.string().hex().length(24).allow(null).messages({ '*': "must be an organization's id" }),
  head: headSchema.allow(null),
};

/**
 * Reads a chain of the audit log from its beginning, and finds what was changed in the database: an entry that was edited, put in or taken out,
 * a tail that was cut off, and entries that nobody has sealed within 60 seconds. Entries are proved by any of `keys`: also name those that
 * sign nothing any more. What came in place of everything, the head included, only shows against a `head` that was kept elsewhere.
 *
 * @throws {TypeError} when an option is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { ok, problems, head } = await verifyAudit({ connection, keys, organizationId: acme.id });
 */
export async function verifyAudit(input: VerifyAudit & SharedOptions): Promise<AuditVerification> {
  const given = readOptions<VerifyAudit>('verifyAudit', input, { ...signingKeys(), ...own });
  const { keyring, organizationId = null, head: kept } = given;
  if (kept && kept.organizationId !== organizationId)
    throw new TypeError('verifyAudit(): option head must be of the chain that is verified');
  const connection = opened(given.connection);
  const organization = objectId(organizationId ?? undefined);
  const walk: Walk = { checked: 0, problems: [], last: { seq: 0, chain: '' }, marked: undefined };
  const by = { connection, keyring, mark: kept?.seq };
  await walkOn(walk, organization, by);
  const head = await storedHead(connection, organization);
  if (head && head.seq > walk.last.seq) await walkOn(walk, organization, by, head.seq); // sealed while we read
  const faults = [
    headFault(head, walk.last, keyring),
    kept ? keptFault(kept, walk.last, walk.marked, keyring) : undefined,
  ];
  const problems = [...walk.problems, ...faults.flatMap((problem) => (problem ? { id: null, problem } : []))];
  return { ok: problems.length === 0, checked: walk.checked, problems, head };
}
