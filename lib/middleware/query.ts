import { described } from './described.js';
import type { Guard } from './guard.js';
import { type Fields, fieldsSchema, type Values, validated } from './validation.js';

export interface WithQuery<Query> {
  readonly query: Query;
}

/**
 * Lets a request through when its query string has all `required` parameters (those with a default may be left out), and
 * beside them only `optional` ones, each by its Joi schema; one that is given twice is an array. Texts are converted to
 * numbers and the like; the result is in `ctx.state.query`.
 *
 * Refuses with 400 `validation_failed` (extra `errors: [{ path, message }]`).
 *
 * @example router.get('/projects', query({ limit: Joi.number().max(100).default(25) }), list);
 */
export function query<Required extends Fields, Optional extends Fields = {}>(
  required: Required,
  optional?: Optional,
): Guard<{}, WithQuery<Values<Required> & Partial<Values<Optional>>>> {
  const schema = fieldsSchema(required, optional ?? {});

  return described({ query: schema, refuses: ['validation_failed'] }, async function query(ctx, next) {
    const state = ctx.state as { query: unknown };
    state.query = validated(schema, { ...ctx.query }, true);
    await next();
  });
}
