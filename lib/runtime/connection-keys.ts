import type { Connection } from 'mongoose';
import type { Key } from './keyring.js';
import { perConnection } from './per-connection.js';

const held = perConnection((): { keyring: readonly Key[] } => ({ keyring: [] }));

/** Notes the first keys that can sign of those that anything is given with this connection. */
export function rememberKeys(connection: Connection, keyring: readonly Key[]): void {
  const known = held(connection);
  if (known.keyring.length === 0 && keyring.some(({ signs }) => signs)) known.keyring = keyring;
}

/** Those keys, for what also runs where nobody is given any: the audit log. Empty where none were ever given. */
export function keysOf(connection: Connection): readonly Key[] {
  return held(connection).keyring;
}
