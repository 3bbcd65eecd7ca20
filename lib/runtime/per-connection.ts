import type { Connection } from 'mongoose';

/** Makes one `T` for each connection and hands out the same one ever after: what a process must share. */
export function perConnection<T extends object>(
  make: (connection: Connection) => T,
): (connection: Connection) => T {
  const made = new WeakMap<Connection, T>();
  return (connection) => {
    const known = made.get(connection);
    if (known) return known;
    const value = make(connection);
    made.set(connection, value);
    return value;
  };
}
