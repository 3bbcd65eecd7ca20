import type { ClientSession, Connection } from 'mongoose';
import { Usage, type UsageKey, type UsageRow } from '../models/usage.js';

export interface NewBalance {
  readonly id: string;
  readonly amount: number;
  readonly expiresAt: Date;
}

/** Balances of a counter that were given and hold something, at most: each write of the counter looks at all of them. */
const most = 100;

/**
 * Puts units beside the allowance of a counter, in the transaction of `session`; a counter that nobody has used yet begins with them,
 * and its period with its first use. Says why where it does not: `over` when they would have expired already, `full` when there are
 * 100 balances that were given, or more units than can be counted exactly.
 */
export async function addBalance(
  connection: Connection,
  session: ClientSession,
  key: UsageKey,
  { id, amount, expiresAt }: NewBalance,
): Promise<'added' | 'over' | 'full'> {
  const usable = those({ $and: [isLive, isLeft] });
  const given = those({ $and: [isLive, isLeft, { $not: isCarried }] });
  const fits = {
    $and: [
      { $gt: [expiresAt, '$$NOW'] },
      { $lt: [{ $size: given }, most] },
      { $lte: [{ $add: [sumOf(usable, '$$b.l'), amount] }, Number.MAX_SAFE_INTEGER] },
    ],
  };
  const balance = { i: { $literal: id }, l: amount, s: 0, e: expiresAt };
  const [spent, over] = [{ $and: [isLive, { $not: isLeft }] }, { $not: isLive }];
  const kept = { $concatArrays: [usable, asOne('spent', spent), asOne('over', over)] };
  const balances = { $cond: [fits, { $concatArrays: [kept, [balance]] }, '$balances'] };
  const counter = (await Usage(connection).collection.findOneAndUpdate(
    { _id: key } as never,
    [{ $set: { u: { $ifNull: ['$u', 0] }, balances } }] as never,
    {
      upsert: true,
      returnDocument: 'after',
      projection: { balances: 1, isOver: { $lte: [expiresAt, '$$NOW'] } },
      session,
    },
  )) as unknown as UsageRow & { readonly isOver: boolean };
  if (counter.balances?.some(({ i }) => i === id)) return 'added';
  return counter.isOver ? 'over' : 'full';
}

const isLive = { $gt: ['$$b.e', '$$NOW'] };
const isLeft = { $gt: ['$$b.l', 0] };
/** Left over by a period: of those there are as many as the plan lets last, and no grant has a space in its id. */
const isCarried = { $regexMatch: { input: '$$b.i', regex: '^rollover ' } };
const those = (cond: object) => ({ $filter: { input: { $ifNull: ['$balances', []] }, as: 'b', cond } });
const sumOf = (input: object, field: string) => ({ $sum: { $map: { input, as: 'b', in: field } } });

/** Balances that are used up tell what was used in the period, and may be given back to: one does for all of them, so that they do not become many. */
function asOne(i: string, cond: object): object {
  const some = those({ $and: [cond, { $gt: ['$$b.s', 0] }] });
  const one = {
    i,
    l: 0,
    s: sumOf(some, '$$b.s'),
    e: { $min: { $map: { input: some, as: 'b', in: '$$b.e' } } },
  };
  return { $cond: [{ $eq: [some, []] }, [], [one]] };
}
