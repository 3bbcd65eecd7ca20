import Joi from 'joi';
import mongoose from 'mongoose';
import { rememberKeys } from './connection-keys.js';
import { asKeyObject, readKey, type SigningKey } from './keyring.js';
import { changeRelay } from './redis-relay.js';
import type { ReadSharedOptions } from './shared-options.js';
import { once, type Schemas, sharedSchemas } from './shared-schemas.js';

export { type Rate, rateOf } from './rate.js';
export type { ReadSharedOptions, RoleNames, SharedOptions } from './shared-options.js';
export { once, sharedSchemas, showAll } from './shared-schemas.js';

/** Options that hold options, which errors name as `cookies.secure`. */
const groups: Readonly<Record<string, number>> = { cookies: 2, roleNames: 2, stytch: 2, providers: 3 };

/** Marks what was validated; a spread carries it along, so that keys are not read again for every request. */
const read = Symbol('validated options');

/**
 * Validates the options given to `factory`, with every problem in one error, and freezes the result. Of options that were
 * read already only the factory's `own` are validated.
 *
 * @throws {TypeError} naming each option that is wrong or unknown, the type of its value, and what it must be
 */
export function readOptions<Own = unknown>(
  factory: string,
  given: unknown,
  own: Schemas = {},
): ReadSharedOptions & Own {
  const nameOf = (option: string) => `option ${option}`;
  if ((given as { [read]?: true } | undefined)?.[read]) {
    return relayed(Object.freeze(checkOptions(factory, given, own, nameOf, true)) as ReadSharedOptions & Own);
  }
  const value = checkOptions(
    factory,
    given ?? {},
    { ...sharedSchemas(), ...own },
    nameOf,
  ) as ReadSharedOptions & Own;
  const keyring = Object.freeze((value.keys ?? []).map((key) => readKey(key, value.algorithm)));
  rememberKeys(value.connection ?? mongoose.connection, keyring);
  return relayed(Object.freeze({ ...value, keyring, [read]: true }));
}

/** Whoever has options with Redis may change something, or remember something, on their connection. */
function relayed<Options extends ReadSharedOptions>(options: Options): Options {
  if (options.redis || options.redisUrl)
    changeRelay(options.connection ?? mongoose.connection).through(options);
  return options;
}

/** Compiled once a factory, whose schemas are always the same. */
const compiled = new Map<string, Joi.ObjectSchema>();

function schemaOf(name: string, schemas: Schemas): Joi.ObjectSchema {
  const schema = compiled.get(name) ?? Joi.object(schemas);
  compiled.set(name, schema);
  return schema;
}

/** Validates `given` by `schemas`; `nameOf` says what the reader of an error knows an option by. */
export function checkOptions(
  factory: string,
  given: unknown,
  schemas: Schemas,
  nameOf: (option: string) => string,
  allowUnknown = false,
): object {
  const rules = { abortEarly: false, allowUnknown, convert: false, errors: { label: false } } as const;
  const { value, error } = schemaOf(`${factory} ${allowUnknown}`, schemas).validate(given, rules);
  if (!error) return value;
  throw new TypeError(`${factory}(): ${error.details.map((detail) => describe(detail, nameOf)).join('; ')}`);
}

/** For factories that read tokens. */
export const verifyingKeys = once(
  (): Schemas => ({
    keys: (sharedSchemas().keys as Joi.Schema).required().messages({
      'any.required': 'is required: pass a list with a secret of at least 32 bytes',
    }),
  }),
);

/** For factories that make tokens. */
export const signingKeys = once(
  (): Schemas => ({
    keys: (verifyingKeys().keys as Joi.Schema).custom(([first]: SigningKey[], helpers) =>
      asKeyObject(first as SigningKey).type === 'public'
        ? helpers.message({ custom: 'must begin with a private or secret key, which signs the tokens' })
        : helpers.original,
    ),
  }),
);

function describe(
  { message, path, context, type }: Joi.ValidationErrorItem,
  nameOf: (option: string) => string,
): string {
  const depth = groups[String(path[0])] ?? 1;
  const [option, ...rest] = [path.slice(0, depth).join('.'), ...path.slice(depth)];
  const name =
    path.length === 0 ? 'the options' : nameOf(String(option)) + rest.map((step) => `[${step}]`).join('');
  if (type === 'object.unknown') return `${name} is unknown; remove it or mend its spelling`;
  if (type === 'any.required') return `${name} ${message}`;
  return `${name} ${message} (got ${typeName(context?.value)})`;
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object'
    ? `an object (${value.constructor?.name ?? 'no class'})`
    : `a ${typeof value}`;
}
