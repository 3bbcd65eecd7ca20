import Joi from 'joi';
import { refuse, type TollgateError } from '../errors.js';

/**
 * A record of Joi schemas. Anything that describes itself fits, for the compiler infers each schema's own type from the
 * narrower one; a bare `Joi.Schema` would make a bare `Joi.string()` an `any`.
 */
export type Fields = Record<string, { describe(): Joi.Description }>;

/** The values that pass such a record. */
export type Values<F extends Fields> = { [K in keyof F]: F[K] extends Joi.AnySchema<infer T> ? T : never };

/** Compiles required and optional fields into one schema that knows no others; a default makes up for a required one. */
export function fieldsSchema(required: Fields, optional: Fields): Joi.ObjectSchema {
  for (const [name, schema] of Object.entries({ ...required, ...optional })) {
    if (!Joi.isSchema(schema))
      throw new TypeError(`body() and query(): the field ${name} must be a Joi schema, such as Joi.string()`);
  }
  const needed = Object.entries(required as Record<string, Joi.Schema>).map(([name, schema]) => {
    const { flags } = schema.describe() as { flags?: { default?: unknown } };
    return [name, flags?.default === undefined ? schema.required() : schema];
  });
  return Joi.object({ ...Object.fromEntries(needed), ...optional }).required();
}

/** Validates `value`, or refuses with 400 `validation_failed` and every problem with its path. */
export function validated(schema: Joi.ObjectSchema, value: unknown, convert: boolean): unknown {
  if (Object.hasOwn(Object(value), '__proto__'))
    throw invalid([{ path: '__proto__', message: 'is not allowed' }]); // Joi loses it
  const result = schema.validate(value, { abortEarly: false, convert, errors: { label: false } });
  if (result.error) {
    throw invalid(result.error.details.map(({ path, message }) => ({ path: path.join('.'), message })));
  }
  return result.value;
}

/** 400 `validation_failed`; the path `''` is the whole body or query. */
export function invalid(errors: readonly { path: string; message: string }[]): TollgateError {
  return refuse('validation_failed', { errors });
}
