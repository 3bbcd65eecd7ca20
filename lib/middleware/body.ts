import type { ParameterizedContext } from 'koa';
import { described } from './described.js';
import type { Guard } from './guard.js';
import { jsonBody } from './json-body.js';
import { type Fields, fieldsSchema, invalid, type Values, validated } from './validation.js';

/** Adds a typed `ctx.request.body`. */
export interface WithBody<Body> {
  request: ParameterizedContext['request'] & { body: Body };
}

/**
 * Reads a JSON body and lets it through when it has all `required` fields, and beside them only `optional` ones, each by
 * its Joi schema and without any conversion of types. An absent body is an empty object; a body that was parsed upstream
 * is taken as it is. Without `query()` upstream there may be no query string.
 *
 * Refuses with 400 `validation_failed` (extra `errors: [{ path, message }]`, also for malformed JSON), 413 `body_too_large`
 * over 100 kB, 415 `media_type` for anything but JSON.
 *
 * @example router.post('/projects', body({ name: Joi.string().max(100) }), create);
 */
export function body<Required extends Fields, Optional extends Fields = {}>(
  required: Required,
  optional?: Optional,
): Guard<{}, {}, WithBody<Values<Required> & Partial<Values<Optional>>>> {
  const schema = fieldsSchema(required, optional ?? {});

  return described(
    { body: schema, refuses: ['validation_failed', 'body_too_large', 'media_type'] },
    async function body(ctx, next) {
      const request = ctx.request as { body?: unknown };
      refuseQuery(ctx);
      request.body = validated(schema, request.body ?? (await jsonBody(ctx)), false);
      await next();
    },
  );
}

function refuseQuery(ctx: ParameterizedContext): void {
  if (!ctx.querystring || ctx.state.query) return;
  throw invalid(Object.keys(ctx.query).map((path) => ({ path, message: 'is not allowed' })));
}
