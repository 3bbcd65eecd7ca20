import type { Connection } from 'mongoose';
import { type Origin, recordAudit } from '../../audit/record-audit.js';
import { Users } from '../../models/user.js';
import { database } from '../../runtime/database.js';

/** What the audit log is told of guesses that fail. */
export interface GuessAudit extends Origin {
  readonly connection: Connection;
  readonly route: string;
  readonly account?: string | undefined;
  /** What a wrong one is called, such as `user.sign-in-failed`; without it guesses are not written down. */
  readonly failure?: string | undefined;
  /** The id of the user whose credential it was to be, where no address names them; asked when the guess has been judged. */
  readonly whose?: (() => string | undefined) | undefined;
}

/** A guess that was wrong. */
export async function auditWrongGuess(by: GuessAudit): Promise<void> {
  if (by.failure) await record(by, by.failure, { route: by.route });
}

/** Guesses that are turned away unjudged, from now on until the budget is there again: so one entry stands for all of them. */
export async function auditExhausted(by: GuessAudit, budget: string): Promise<void> {
  if (by.failure) await record(by, 'guesses.exhausted', { route: by.route, budget });
}

/** Written for unknown addresses too, for it takes its time; but not which address it was, for it may be nobody's here. */
async function record(by: GuessAudit, action: string, details: Record<string, string>): Promise<void> {
  const { connection, account, whose, ip, userAgent, requestId } = by;
  const id = whose?.() ?? (account === undefined ? undefined : await idOf(connection, account));
  const target = id === undefined ? undefined : { type: 'user', id };
  await recordAudit({ connection, action, target, details, ip, userAgent, requestId });
}

async function idOf(connection: Connection, email: string): Promise<string | undefined> {
  const user = await database(() => Users(connection).findOne({ email }, { _id: 1 }).lean());
  return user ? String(user._id) : undefined;
}
