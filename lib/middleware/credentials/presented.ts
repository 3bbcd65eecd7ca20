import type { IncomingHttpHeaders } from 'node:http';
import type { ParameterizedContext } from 'koa';
import { clientAddress } from '../../runtime/client-address.js';
import { foresee, guardsFollow, strictOf } from '../../runtime/connection.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { Snapshot } from '../../runtime/snapshot.js';
import { namedIn } from '../named-in.js';

/** The side of a request that credentials are read from, whether it is Koa's or wants an upgrade. */
export interface Presented {
  readonly headers: IncomingHttpHeaders;
  /** The client's address. */
  readonly ip: () => string | undefined;
  /** Whether the database is asked whatever is remembered. */
  readonly strict: boolean;
  /** The same for all who read this request's credentials. */
  readonly request: object;
  /** For whom a strict reader reads ahead; undefined where no guards follow. */
  readonly guards: () => Guards | undefined;
}

/** The guards that follow on a request of Koa's. */
export interface Guards {
  /** The organization that the request names. */
  readonly organizationId: string | undefined;
  /** Lets them decide by what was read just now. */
  readonly foresee: (snapshot: Snapshot) => void;
}

export const presentedBy = (
  ctx: ParameterizedContext,
  { strict, trustedProxies }: Pick<ReadSharedOptions, 'strict' | 'trustedProxies'>,
): Presented => ({
  headers: ctx.req.headers,
  ip: () => clientAddress(ctx, trustedProxies),
  strict: Boolean(strictOf(ctx, strict)),
  request: ctx.req,
  guards: () => (guardsFollow(ctx) ? guardsOf(ctx) : undefined),
});

const guardsOf = (ctx: ParameterizedContext): Guards => ({
  organizationId: namedIn(ctx, 'organizationId', 'X-Organization-Id'),
  foresee: (snapshot) => foresee(ctx, snapshot),
});
