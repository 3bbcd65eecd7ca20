import type { Types } from 'mongoose';
import type { StoredSession } from '../../models/session.js';

/** A session as `ctx.state.session` holds it, and as a client sees it. */
export interface Session {
  readonly id: string;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly createdAt: Date;
  /** Of the last refresh; requests do not write it. */
  readonly lastUsedAt: Date;
  /** When somebody last proved to be this user, as far as that is known. */
  readonly authenticatedAt: Date;
  readonly expiresAt: Date;
  /** Whether that was a sign-in at a provider who does not say when the user proved it, so that it may have been long before. Not part of the JSON. */
  readonly silent: boolean;
  readonly isExpired: boolean;
  readonly secondsLeft: number;
}

/** Of the state of a session, ours or Stytch's: what is asked of the time now is computed when it is asked, and is not part of the JSON. */
export const ticking = {
  get isExpired(): boolean {
    return (this as unknown as Session).expiresAt.getTime() <= Date.now();
  },
  get secondsLeft(): number {
    return Math.max(0, Math.floor(((this as unknown as Session).expiresAt.getTime() - Date.now()) / 1000));
  },
};

export function asSession(stored: StoredSession & { _id: Types.ObjectId }): Session {
  const { _id, ip = null, userAgent = null, createdAt, lastUsedAt, authenticatedAt, expiresAt } = stored;
  const facts = { id: String(_id), ip, userAgent, createdAt, lastUsedAt, authenticatedAt, expiresAt };
  const silent = { value: stored.silent ?? false };
  return Object.freeze(Object.assign(Object.create(ticking, { silent }), facts)) as Session;
}
