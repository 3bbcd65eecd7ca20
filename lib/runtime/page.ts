import Joi from 'joi';
import type { Types } from 'mongoose';
import { objectId } from './ids.js';

/** Which part of a list is asked for. */
export interface PageQuery {
  readonly limit: number;
  /** The id of the last item of the page before. */
  readonly after?: Types.ObjectId | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Given back as `?cursor=` it brings the next page; null after the last. */
  readonly nextCursor: string | null;
}

/** The query of every list, `?limit=` (1–100, default 25) and `?cursor=`: `query(...pageQuery)`. */
export const pageQuery = [
  { limit: Joi.number().integer().min(1).max(100).default(25) },
  { cursor: Joi.any<Types.ObjectId>().custom(readCursor) },
] as const;

function readCursor(text: unknown, helpers: Joi.CustomHelpers) {
  const id = typeof text === 'string' ? objectId(Buffer.from(text, 'base64url').toString('hex')) : null;
  return id ?? helpers.message({ custom: 'must be the nextCursor of a page of this list' });
}

/** Makes a page of the `limit + 1` rows that were read; the one too many only tells that there is more. */
export const pageOf = <Row, T>(
  rows: readonly Row[],
  limit: number,
  idOf: (row: Row) => Types.ObjectId,
  show: (row: Row) => T,
): Page<T> => pageBy(rows, limit, (row) => Buffer.from(idOf(row).id).toString('base64url'), show);

/** The same with a cursor of another kind. */
export function pageBy<Row, T>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  show: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items: shown.map(show), nextCursor: more ? cursorOf(last) : null };
}
