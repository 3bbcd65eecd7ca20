import type Joi from 'joi';
import { type ErrorCode, errorCodes } from '../errors.js';
import { described, type JsonSchema } from './described.js';
import type { Guard } from './guard.js';

/**
 * Says what a route answers when all is well, `status` with JSON of `schema` (by Joi, or a JSON Schema; null: no body), and the codes
 * that its handler refuses with beside those of its guards: for the document of `openapiRouter()`. It lets everything through.
 *
 * @example router.get('/projects/:id', endpoint(signedIn, answers(200, project, 'not_found'), show));
 */
export function answers(
  status: number,
  schema: Joi.Schema | JsonSchema | null,
  ...refuses: ErrorCode[]
): Guard {
  const known = refuses.every((code) => Object.hasOwn(errorCodes, code));
  if (!Number.isInteger(status) || status < 200 || status > 399 || typeof schema !== 'object' || !known)
    throw new TypeError(
      "answers(): give a status, a schema or null, and codes of errorCodes: answers(200, project, 'not_found')",
    );
  return described({ answers: { status, schema }, refuses }, (_ctx, next) => next());
}
