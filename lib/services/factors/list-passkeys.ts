import Joi from 'joi';
import { refuse } from '../../errors.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import type { Page } from '../../runtime/page.js';
import { asPasskey, type Passkey, passkeyId } from './passkey.js';
import { userNow } from './user-now.js';

export interface ListPasskeys {
  readonly userId: string;
  readonly limit: number;
  /** The `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

const own = {
  userId: Joi.string().required(),
  limit: Joi.number().integer().min(1).required(),
  cursor: passkeyId,
};

/**
 * The passkeys of a user, the oldest first.
 *
 * @throws {TollgateError} `not_found` (404) when there is no such user; `database_unavailable` (503)
 * @example const { items } = await listPasskeys({ userId: user.id, limit: 20 });
 */
export async function listPasskeys(input: ListPasskeys & SharedOptions): Promise<Page<Passkey>> {
  const given = readOptions<ListPasskeys>('listPasskeys', input, own);
  const { user } = (await userNow(opened(given.connection), given.userId)) ?? {};
  if (!user) throw refuse('not_found');
  const passkeys = user.passkeys ?? [];
  const begin = passkeys.findIndex(({ id }) => id === given.cursor) + 1; // a removed one: from the start again
  const items = passkeys.slice(begin, begin + given.limit).map(asPasskey);
  const more = begin + given.limit < passkeys.length;
  return { items, nextCursor: more ? (items.at(-1)?.id ?? null) : null };
}
