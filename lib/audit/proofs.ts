import { createHash, createHmac, randomBytes } from 'node:crypto';
import mongoose, { type Types } from 'mongoose';
import { deriveKey, type Key } from '../runtime/keyring.js';

/** What can be erased of an entry: it is covered by a salted digest, which stays. */
export interface PersonalData {
  readonly ip?: string | null | undefined;
  readonly userAgent?: string | null | undefined;
  readonly details?: unknown;
}

/** What an entry's MAC covers. */
export interface ProvenFacts {
  readonly _id: Types.ObjectId;
  readonly at: Date;
  readonly action: string;
  readonly actor?: string | null | undefined;
  readonly target?: { readonly type?: string | null; readonly id?: string | null } | null | undefined;
  readonly organization?: Types.ObjectId | null | undefined;
  readonly requestId?: string | null | undefined;
  readonly personal?: string | null | undefined;
}

const entryPurpose = 'audit entry';
const headPurpose = 'audit head';

/** The text of an entry that a MAC is made of: a JSON list, so that no value can pass for part of its neighbour. Takes whatever is stored. */
const textOf = ({ _id, at, action, actor, target, organization, requestId, personal }: ProvenFacts): string =>
  JSON.stringify([
    String(_id),
    Number(at),
    action,
    actor ?? null,
    target?.type ?? null,
    target?.id ?? null,
    organization ? String(organization) : null,
    requestId ?? null,
    personal ?? null,
  ]);

const hmac = (key: Key, purpose: string, text: string): string =>
  createHmac('sha256', deriveKey(key, purpose)).update(text).digest('base64url');

/** The digest of what is personal, as BSON so that it is the same of what comes back from the database. */
export function digestOf(salt: string, { ip, userAgent, details }: PersonalData): string {
  const bytes = mongoose.mongo.BSON.serialize({ ip: ip ?? null, userAgent: userAgent ?? null, details });
  return createHash('sha256').update(salt).update(bytes).digest('base64url');
}

/** What is stored beside an entry to prove it: without a key only the digest, and `verifyAudit()` will say so. */
export function proofOf(entry: Omit<ProvenFacts, 'personal'> & PersonalData, keyring: readonly Key[]) {
  const salt = randomBytes(16).toString('base64url');
  const personal = digestOf(salt, entry);
  const key = keyring.find(({ signs }) => signs);
  return { salt, personal, ...(key && { keyId: key.kid, mac: entryMac(key, { ...entry, personal }) }) };
}

export const entryMac = (key: Key, entry: ProvenFacts): string => hmac(key, entryPurpose, textOf(entry));

/** The hash that links an entry to those before it. */
export const chainOf = (
  previous: string,
  seq: number,
  entry: ProvenFacts & { readonly mac?: string | null | undefined },
): string =>
  createHash('sha256')
    .update(JSON.stringify([previous, seq, textOf(entry), entry.mac ?? null]))
    .digest('base64url');

/** The end of a chain; null: of what belongs to no organization. */
export interface ProvenHead {
  readonly organizationId: string | null;
  readonly seq: number;
  readonly chain: string;
}

export const headMac = (key: Key, { organizationId, seq, chain }: ProvenHead): string =>
  hmac(key, headPurpose, JSON.stringify([organizationId, seq, chain]));

/** Whether `mac` was made by the key of that id with `make`; undefined when that key is not among `keyring`. */
export function isProven(
  keyring: readonly Key[],
  { keyId, mac }: { readonly keyId?: string | null | undefined; readonly mac?: string | null | undefined },
  make: (key: Key) => string,
): boolean | undefined {
  const key = keyring.find(({ kid, signs }) => kid === keyId && signs);
  return key && make(key) === mac;
}
