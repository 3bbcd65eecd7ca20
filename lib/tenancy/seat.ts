import type { AnyModel } from './registry.js';

/** What a model and its documents reach the database by. */
export interface Seat {
  readonly connection: object;
  readonly collection: object;
}

/** Names that Mongoose keeps them under, in a model and in its prototype; the two symbols are told by their descriptions. */
const inModel = { db: 'connection', collection: 'collection', $__collection: 'collection' } as const;
const inPrototype = { db: 'connection', collection: 'collection', $collection: 'collection' } as const;
const symbols = { 'mongoose#Model#db': 'connection', 'mongoose#Model#collection': 'collection' } as const;

/**
 * Gives a model another connection and collection, for good.
 *
 * @throws {Error} when this version of Mongoose keeps them elsewhere
 */
export function seat(model: AnyModel, given: Seat): void {
  const { prototype } = model as unknown as { prototype: object };
  for (const [name, part] of Object.entries(inModel)) fix(model, name, given[part]);
  for (const [name, part] of Object.entries(inPrototype)) fix(prototype, name, given[part]);
  for (const [description, part] of Object.entries(symbols))
    fix(prototype, symbolOf(prototype, description), given[part]);
  fix(model, 'base', (given.connection as { base: unknown }).base);
}

const fix = (target: object, name: PropertyKey, value: unknown): void =>
  void Object.defineProperty(target, name, { value, writable: false, configurable: false });

function symbolOf(prototype: object | null, description: string): symbol {
  if (!prototype)
    throw new Error(`tenantScoped: this version of Mongoose is unknown: it has no ${description}`);
  const own = Object.getOwnPropertySymbols(prototype).find((symbol) => symbol.description === description);
  return own ?? symbolOf(Object.getPrototypeOf(prototype), description);
}
