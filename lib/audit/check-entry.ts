import type { Types } from 'mongoose';
import type { StoredAuditEntry } from '../models/audit-entry.js';
import type { Key } from '../runtime/keyring.js';
import { chainOf, digestOf, entryMac, isProven } from './proofs.js';

/** What `verifyAudit()` finds. */
export type AuditFault =
  | 'edited' // the entry is not what was written
  | 'redacted' // it is without what was personal in it, though nobody of it was erased
  | 'unsigned' // it has no MAC
  | 'unknown-key' // its key, or the head's, is not among keys
  | 'unsealed' // it is in no chain yet, a minute after it was written
  | 'missing-before' // there is a gap before it
  | 'out-of-place' // another has its place
  | 'unlinked' // it does not continue what stands before it
  | 'replaced' // it is where the head says, but the head is of another
  | 'beyond-head' // it comes after the head
  | 'tail-missing' // the head is further on than the last entry
  | 'head-missing'
  | 'head-edited';

export type Entry = StoredAuditEntry & { readonly _id: Types.ObjectId };

/** What is wrong with an entry by itself. */
export function contentFault(
  entry: Entry,
  keyring: readonly Key[],
  erased: ReadonlySet<unknown>,
): AuditFault | undefined {
  if (entry.redacted && !isBare(entry, !entry.actor || erased.has(entry.actor))) return 'edited';
  if (entry.redacted && !erased.has(entry.actor) && !erased.has(entry.target?.id)) return 'redacted';
  if (!entry.redacted && digestOf(String(entry.salt), entry) !== entry.personal) return 'edited';
  return macFault(entry, keyring);
}

export function macFault(entry: Entry, keyring: readonly Key[]): AuditFault | undefined {
  if (!entry.mac) return 'unsigned';
  const proven = isProven(keyring, entry, (key) => entryMac(key, entry));
  if (proven === undefined) return 'unknown-key';
  return proven ? undefined : 'edited';
}

/** Where somebody else acted on who was erased stays; see redact-audit.ts. */
const isBare = ({ ip, userAgent, salt, details }: Entry, byErased: boolean): boolean =>
  !(byErased && (ip || userAgent)) && !salt && Object.keys(details ?? {}).length === 0;

/** Where the walk along a chain has come to. */
export interface Place {
  readonly seq: number;
  readonly chain: string;
}

/** What is wrong with how an entry follows the one before. */
export function linkFault(entry: Entry & Place, before: Place): AuditFault | undefined {
  if (entry.seq <= before.seq) return 'out-of-place';
  if (entry.seq > before.seq + 1) return 'missing-before';
  const fits = entry.previous === before.chain && chainOf(before.chain, entry.seq, entry) === entry.chain;
  return fits ? undefined : 'unlinked';
}
