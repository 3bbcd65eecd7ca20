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
  /** Whether the database is asked whatever is remembered. */
  readonly strict: boolean;
  /** The same for all who read this request's credentials. */
  readonly request: object;
  /** The client's address. */
  ip(): string | undefined;
  /** For whom a strict reader reads ahead; undefined where no guards follow. */
  guards(): Guards | undefined;
}

/** The guards that follow on a request of Koa's. */
export interface Guards {
  /** The organization that the request names. */
  readonly organizationId: string | undefined;
  /** Lets them decide by what was read just now. */
  readonly foresee: (snapshot: Snapshot) => void;
}

/** What a request of Koa's presents. Every request makes one: it costs less than closures do. */
export class PresentedToKoa implements Presented {
  readonly headers: IncomingHttpHeaders;
  readonly strict: boolean;
  readonly request: object;
  readonly #ctx: ParameterizedContext;
  readonly #options: Pick<ReadSharedOptions, 'trustedProxies'>;

  constructor(ctx: ParameterizedContext, options: Pick<ReadSharedOptions, 'strict' | 'trustedProxies'>) {
    this.headers = ctx.req.headers;
    this.strict = Boolean(strictOf(ctx, options.strict));
    this.request = ctx.req;
    this.#ctx = ctx;
    this.#options = options;
  }

  ip(): string | undefined {
    return clientAddress(this.#ctx, this.#options.trustedProxies);
  }

  guards(): Guards | undefined {
    return guardsFollow(this.#ctx) ? guardsOf(this.#ctx) : undefined;
  }
}

const guardsOf = (ctx: ParameterizedContext): Guards => ({
  organizationId: namedIn(ctx, 'organizationId', 'X-Organization-Id'),
  foresee: (snapshot) => foresee(ctx, snapshot),
});
