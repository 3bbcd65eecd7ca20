import type { Connection } from 'mongoose';

/** Makes one `T` for each connection and hands out the same one ever after: what a process must share. */
export function perConnection<T extends object>(
  make: (connection: Connection) => T,
): (connection: Connection) => T {
  const made = Symbol('koa-tollgate.per-connection'); // a property costs less than a WeakMap does
  return (connection) => {
    const scope = connection as { [made]?: T };
    scope[made] ??= make(connection);
    return scope[made];
  };
}
