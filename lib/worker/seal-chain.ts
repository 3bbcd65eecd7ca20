import { randomUUID } from 'node:crypto';
import type { ClientSession, Connection, Types } from 'mongoose';
import { chainOf, headMac, isProven, type ProvenHead } from '../audit/proofs.js';
import { refuse } from '../errors.js';
import { AuditEntries, type AuditLink } from '../models/audit-entry.js';
import { AuditHeads, chainName, organizationOf, type StoredAuditHead } from '../models/audit-head.js';
import { database } from '../runtime/database.js';
import type { Key } from '../runtime/keyring.js';
import { transaction } from '../runtime/transaction.js';

export interface Sealer {
  readonly connection: Connection;
  /** The first signs. */
  readonly keyring: readonly Key[];
}

type Organization = Types.ObjectId | null;

/** Entries that are linked in one transaction. */
const batchSize = 200;

/** Links what waits in one chain, unless somebody else is at it; gives how many entries. */
export async function sealChain(sealer: Sealer, organization: Organization): Promise<number> {
  const { connection } = sealer;
  const heads = AuditHeads(connection);
  const [name, holder] = [chainName(organization), randomUUID()];
  if (!(await database(() => heads.lease(name, holder)))) return 0;
  try {
    for (let count = 0; ; ) {
      const linked = await transaction(connection, (session) =>
        sealBatch(sealer, session, organization, holder),
      );
      count += linked;
      if (linked < batchSize) return count;
    }
  } finally {
    await database(() => heads.release(name, holder)).catch(() => {}); // it runs out by itself
  }
}

/** All or nothing: the entries and the head move in one transaction, on condition that the head is where it was. */
async function sealBatch(
  { connection, keyring }: Sealer,
  session: ClientSession,
  organization: Organization,
  holder: string,
): Promise<number> {
  const entries = AuditEntries(connection);
  const heads = AuditHeads(connection);
  const head = await heads.findOne({ _id: chainName(organization), holder }, null, { session }).lean();
  if (!head) return 0; // the lease ran out
  const beyond = await entries.exists({ organization, seq: { $gt: head.seq } }).session(session);
  if (beyond || !isGenuine(head, keyring)) throw broken(head);
  const waiting = entries.find({ sealed: false, organization }, null, { session }).sort({ _id: 1 });
  const links: AuditLink[] = [];
  for (const entry of await waiting.limit(batchSize).lean()) {
    const { seq: before, chain: previous } = links.at(-1) ?? head;
    const seq = before + 1;
    links.push({ _id: entry._id, seq, previous, chain: chainOf(previous, seq, entry) });
  }
  const last = links.at(-1);
  if (!last) return 0;
  const { seq, chain } = last;
  const tip = { seq, chain, ...signatureOf(keyring, { ...head, seq, chain }) };
  const linked = await entries.link(links, session);
  const advanced = await heads.advance({ _id: head._id, holder, seq: head.seq }, tip, session);
  if (linked !== links.length || !advanced) throw refuse('conflict');
  return links.length;
}

/** Gives every head the MAC of the key that signs now, while the key before can still prove it: soon that is dropped. */
export async function signHeadsAnew({ connection, keyring }: Sealer): Promise<void> {
  const heads = AuditHeads(connection);
  const older = { keyId: { $in: keyring.slice(1).map(({ kid }) => kid) } };
  const found = await database(() => heads.find(older).lean());
  for (const head of found.filter((each) => isGenuine(each, keyring)))
    await database(() => heads.sign(head, signatureOf(keyring, head)));
}

/** A head that somebody has put back or changed must not get a good MAC by going on from it. */
function isGenuine(head: StoredAuditHead, keyring: readonly Key[]): boolean {
  return head.seq === 0 || isProven(keyring, head, (key) => headMac(key, proven(head))) === true;
}

function signatureOf([key]: readonly Key[], head: Pick<StoredAuditHead, '_id' | 'seq' | 'chain'>) {
  const signer = key as Key;
  return { keyId: signer.kid, mac: headMac(signer, proven(head)) };
}

const proven = ({ _id, seq, chain }: Pick<StoredAuditHead, '_id' | 'seq' | 'chain'>): ProvenHead => ({
  organizationId: organizationOf(_id),
  seq,
  chain,
});

const broken = ({ _id, keyId }: StoredAuditHead) =>
  refuse('internal', {
    detail:
      `The audit log's chain ${_id} does not end where its head says, or the head's key ${keyId} is not among keys; ` +
      'nothing is sealed in it until verifyAudit() finds no fault',
  });
