import { gate } from './gate.js';
import { beyondTenant } from './needs-tenant.js';

/** The cursor of the driver, as far as it is used here. */
export interface DriverCursor {
  next(): Promise<unknown>;
  toArray(): Promise<unknown[]>;
  close(): Promise<void>;
  rewind(): void;
  explain(verbosity?: never): Promise<unknown>;
}

/** A cursor that is opened when it is first used, and lets itself be read as long as `check` does not throw: the driver's own could be given another filter. */
export function ownCursor(
  model: string,
  check: () => void,
  open: () => Promise<DriverCursor> | DriverCursor,
): object {
  let opened: Promise<DriverCursor> | undefined;
  const cursor = () => {
    check();
    opened ??= Promise.resolve(open());
    return opened;
  };
  const next = async () => (await cursor()).next();
  return gate(
    {
      next,
      toArray: async () => (await cursor()).toArray(),
      close: async () => void (await (await opened)?.close()),
      rewind: () => void opened?.then((each) => each.rewind()),
      explain: async (verbosity?: never) => (await cursor()).explain(verbosity),
      async *[Symbol.asyncIterator]() {
        for (let document = await next(); document !== null; document = await next()) yield document;
      },
    },
    (name) => beyondTenant(model, `cursor.${name}()`),
  );
}
