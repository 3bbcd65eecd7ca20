import Joi from 'joi';
import { type Page, pageBy, pageQuery } from './page.js';

/** Where a page of a sorted list ended. */
export interface Place {
  /** What the list is sorted by: a cursor is for no other order. */
  readonly sort: string;
  /** Of the last item. */
  readonly value: string | Date | null;
  readonly id: string;
}

/** Which part of a sorted list is asked for. */
export interface SortedPageQuery {
  readonly limit: number;
  /** Where the page before ended. */
  readonly after?: Place | undefined;
}

/** The query of a sorted list, `?limit=` (1–100, default 25) and `?cursor=`; like `pageQuery`, for ids of any type. */
export const sortedPageQuery = [pageQuery[0], { cursor: Joi.any<Place>().custom(readPlace) }] as const;

const placeSchema = Joi.array()
  .ordered(
    Joi.string().required(),
    Joi.alternatives(Joi.string().allow('', null), Joi.number().unsafe()).required(),
    Joi.string().required(),
  )
  .required();

function readPlace(text: unknown, helpers: Joi.CustomHelpers) {
  const { value, error } = placeSchema.validate(parsed(text), { convert: false });
  if (error) return helpers.message({ custom: 'must be the nextCursor of a page of this list' });
  const [sort, at, id] = value;
  return { sort, value: typeof at === 'number' ? new Date(at) : at, id };
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(Buffer.from(String(text), 'base64url').toString());
  } catch {
    return undefined;
  }
}

const written = ({ sort, value, id }: Place): string =>
  Buffer.from(JSON.stringify([sort, value instanceof Date ? value.getTime() : value, id])).toString(
    'base64url',
  );

/** The filter of what comes after a place in the order of `field`, then `_id`; what lacks the field is the least. */
export function beyond(field: string, direction: 1 | -1, { value }: Place, id: unknown): object {
  const further = direction === 1 ? { $gt: id } : { $lt: id };
  const same = { [field]: value, _id: further };
  if (value === null) return direction === 1 ? { $or: [same, { [field]: { $ne: null } }] } : same;
  return { $or: [same, { [field]: direction === 1 ? { $gt: value } : { $not: { $gte: value } } }] };
}

/** Makes a page of the `limit + 1` rows that were read; the one too many only tells that there is more. */
export const sortedPageOf = <Row, T>(
  rows: readonly Row[],
  limit: number,
  placeOf: (row: Row) => Place,
  show: (row: Row) => T,
): Page<T> => pageBy(rows, limit, (row) => written(placeOf(row)), show);
