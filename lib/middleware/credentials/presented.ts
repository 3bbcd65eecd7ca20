import type { IncomingHttpHeaders } from 'node:http';
import type { ParameterizedContext } from 'koa';
import { clientAddress } from '../../runtime/client-address.js';
import { strictOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';

/** The side of a request that credentials are read from, whether it is Koa's or wants an upgrade. */
export interface Presented {
  readonly headers: IncomingHttpHeaders;
  /** The client's address. */
  readonly ip: () => string | undefined;
  /** Whether the database is asked whatever is remembered. */
  readonly strict: boolean;
  /** The same for all who read this request's credentials. */
  readonly request: object;
}

export const presentedBy = (
  ctx: ParameterizedContext,
  { strict, trustedProxies }: Pick<ReadSharedOptions, 'strict' | 'trustedProxies'>,
): Presented => ({
  headers: ctx.req.headers,
  ip: () => clientAddress(ctx, trustedProxies),
  strict: strictOf(ctx, strict),
  request: ctx.req,
});
