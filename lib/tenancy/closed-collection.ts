import { gate } from './gate.js';
import { needsTenant } from './needs-tenant.js';
import type { RawCollection } from './registry.js';

type Method = (...args: unknown[]) => unknown;

/** What manages a collection and reaches no document. */
const management = ['createIndex', 'dropIndex', 'createSearchIndex', 'updateSearchIndex', 'dropSearchIndex'] as const; // biome-ignore format: a list

/** Mongoose's own queue of what waits until the connection is open. */
interface Buffering {
  readonly buffer: boolean;
  readonly collection: unknown;
  addQueue(work: Method, args: unknown[]): unknown;
}

/** The collection of a scoped model that is bound to no tenant: it manages indexes, and throws for everything else. */
export function closedCollection(model: string, raw: RawCollection): object {
  const methods = raw as unknown as Record<string, Method>;
  const queue = raw as unknown as Buffering;
  const managing = management.map((name) => [name, (...args: unknown[]) => methods[name]?.apply(raw, args)]);
  return gate(
    {
      ...facts(raw),
      ...Object.fromEntries(managing),
      listIndexes: () => ({ toArray: () => raw.listIndexes().toArray() }),
      listSearchIndexes: () => ({ toArray: () => raw.listSearchIndexes().toArray() }), // its cursor would take further stages
      get buffer() {
        return queue.buffer;
      },
      get collection() {
        return Boolean(queue.collection); // whether it is open
      },
      addQueue: (work: Method) => void queue.addQueue(() => work(), []),
    },
    (name) => needsTenant(model, `${name}()`),
  );
}

/** What Mongoose asks every collection. */
export const facts = ({ collectionName }: RawCollection) => ({
  name: collectionName,
  collectionName,
  conn: undefined,
  _shouldBufferCommands: () => false, // what is under it buffers
});
