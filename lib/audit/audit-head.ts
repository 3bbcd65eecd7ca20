import Joi from 'joi';
import type { Connection, Types } from 'mongoose';
import { AuditHeads, chainName } from '../models/audit-head.js';
import { database } from '../runtime/database.js';
import type { Key } from '../runtime/keyring.js';
import type { AuditFault, Place } from './check-entry.js';
import { headMac, isProven } from './proofs.js';

/** The end of a chain, as JSON: kept elsewhere it proves later that nothing up to here was lost or replaced. */
export interface AuditHead {
  /** Null: the chain of what belongs to no organization. */
  readonly organizationId: string | null;
  readonly seq: number;
  readonly chain: string;
  readonly keyId: string;
  readonly mac: string;
}

export const headSchema = Joi.object({
  organizationId: Joi.string().required().allow(null),
  seq: Joi.number().integer().min(1).required(),
  chain: Joi.string().required(),
  keyId: Joi.string().required(),
  mac: Joi.string().required(),
});

/** The head of a chain as it is stored; null where nothing was sealed. */
export async function storedHead(
  connection: Connection,
  organization: Types.ObjectId | null,
): Promise<AuditHead | null> {
  const stored = await database(() => AuditHeads(connection).findById(chainName(organization)).lean());
  if (!stored?.seq) return null;
  const { seq, chain, keyId, mac } = stored;
  return {
    organizationId: organization && String(organization),
    seq,
    chain,
    keyId: keyId ?? '',
    mac: mac ?? '',
  };
}

/** What is wrong with the stored head of a chain that ends at `last`. */
export function headFault(
  head: AuditHead | null,
  last: Place,
  keyring: readonly Key[],
): AuditFault | undefined {
  if (!head) return last.seq > 0 ? 'head-missing' : undefined;
  if (last.seq > head.seq) return macFaultOf(head, keyring) ?? 'beyond-head';
  return keptFault(head, last, last.chain, keyring);
}

/** What is wrong with a chain by a head of it, now or earlier, where `chain` stands in its place. */
export function keptFault(
  head: AuditHead,
  last: Place,
  chain: string | undefined,
  keyring: readonly Key[],
): AuditFault | undefined {
  const fault = macFaultOf(head, keyring);
  if (fault) return fault;
  if (last.seq < head.seq) return 'tail-missing';
  return chain === head.chain ? undefined : 'replaced';
}

function macFaultOf(head: AuditHead, keyring: readonly Key[]): AuditFault | undefined {
  const proven = isProven(keyring, head, (key) => headMac(key, head));
  if (proven === undefined) return 'unknown-key';
  return proven ? undefined : 'head-edited';
}
