import type { Plain } from './registry.js';

/** Run code of the caller's in the database. */
const code = new Set(['$where', '$function', '$accumulator']);

/**
 * A copy in plain data of what is to be sent: what was checked is what is sent, whatever getters and `toBSON` say the second
 * time. Values of BSON types stay as they are.
 *
 * @throws {TypeError} when it would run code in the database
 */
export function snapshot(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? undefined : value;
  if (Array.isArray(value)) return Array.from(value, snapshot);
  const isBson = '_bsontype' in value && !isPlain(value); // a plain object that only says so would not be looked into
  if (isBson || value instanceof Date || value instanceof RegExp || ArrayBuffer.isView(value)) return value;
  const { toBSON } = value as { toBSON?: unknown };
  if (typeof toBSON === 'function') return snapshot(toBSON.call(value));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(entries.map(([key, inner]) => [refuseCode(String(key)), snapshot(inner)]));
}

/** The same for what must be an object. */
export function snapshotOf(value: unknown, what: string): Plain {
  const copy = snapshot(value ?? {});
  if (isPlain(copy)) return copy;
  throw new TypeError(`${what} must be a plain object`);
}

export const isPlain = (value: unknown): value is Plain =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

function refuseCode(key: string): string {
  if (code.has(key)) throw new TypeError(`${key} is refused: it runs code in the database`);
  return key;
}
