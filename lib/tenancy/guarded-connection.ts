import type { Connection, mongo } from 'mongoose';
import { gate } from './gate.js';
import { beyondTenant } from './needs-tenant.js';

interface Ways {
  /** The model that a name stands for, where a reference is followed. */
  readonly model: (name: string) => unknown;
  readonly createCollection?: ((options?: mongo.CreateCollectionOptions) => Promise<void>) | undefined;
}

/** Internals of a connection and of Mongoose that it reads where it works for a model. */
interface Internals {
  readonly _waitForConnect: (noTimeout?: boolean) => Promise<unknown>;
  readonly base: Record<string, unknown> & { _applyPlugins(schema: unknown, options?: unknown): void };
}

const factsOfMongoose = ['options', 'version', 'now', 'Types', 'Schema', 'driver', 'Promise', 'get', 'transactionAsyncLocalStorage']; // biome-ignore format: a list
const factsOfConnection = ['name', 'host', 'port', 'readyState', 'config', 'options'];

/** What a scoped model and its documents have for a connection: facts, and `model()`; no way to the driver or another collection. */
export function guardedConnection(name: string, connection: Connection, ways: Ways): object {
  const refusal = (what: string) => (member: string) => beyondTenant(name, `${what}.${member}`);
  const { base, _waitForConnect } = connection as unknown as Internals;
  const openBase = reading(base, factsOfMongoose, {
    _applyPlugins: (schema: unknown, options: unknown) => base._applyPlugins(schema, options),
  });
  const open = reading(connection, factsOfConnection, {
    base: gate(openBase, refusal('base')),
    models: Object.freeze({}),
    _parent: undefined,
    model: (model: string) => ways.model(model),
    createCollection: async (_name: string, options?: mongo.CreateCollectionOptions) => {
      if (!ways.createCollection) throw beyondTenant(name, 'db.createCollection');
      await ways.createCollection(options);
    },
    _waitForConnect: async (noTimeout?: boolean) => {
      await _waitForConnect.call(connection, noTimeout);
    },
  });
  return gate(open, refusal('db'));
}

/** Adds members that say what those of `source` say at the time. */
function reading(source: object, members: readonly string[], more: object): object {
  for (const member of members)
    Object.defineProperty(more, member, { enumerable: true, get: () => Reflect.get(source, member) });
  return more;
}
