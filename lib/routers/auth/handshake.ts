import Koa from 'koa';
import createSession from 'koa-session';
import type { Guard } from '../../middleware/guard.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { open, seal } from '../../runtime/sealing.js';
import { handshakeTtl } from '../../services/federation/finish-handshake.js';
import type { Secrets } from '../../services/federation/handshake.js';

/** What a browser keeps of a sign-in elsewhere while it is there. */
export interface Handshake {
  readonly provider: string;
  readonly secrets: Secrets;
  readonly returnTo?: string | undefined;
  /** Who asked for it while signed in: the identity becomes theirs. */
  readonly linking?: { readonly userId: string; readonly sessionId: string } | undefined;
}

export interface InHandshake {
  /** Null ends it. */
  readonly handshake: { session: Partial<Handshake> | null };
}

/**
 * Gives `ctx.state.handshake.session`: a koa-session in a cookie of ten minutes that is encrypted, so that every instance with our
 * keys can read it, and nobody else. Its Koa is our own, for koa-session adds `ctx.session` to the application it is given.
 */
export function handshake({ keyring, cookies: { secure } }: ReadSharedOptions): Guard<{}, InHandshake> {
  const host = new Koa();
  const options = {
    key: secure ? '__Host-oauth' : 'oauth',
    maxAge: handshakeTtl * 1000,
    sameSite: 'lax', // the browser comes back from another site
    secure,
    signed: false, // sealed instead: `app.keys` are the application's
    encode(session: object) {
      const { keyId, sealed } = seal(keyring, 'oauth handshake', JSON.stringify(session));
      return `${keyId}.${sealed}`;
    },
    decode(cookie: string) {
      const [keyId = '', sealed = ''] = cookie.split('.');
      try {
        return JSON.parse(open(keyring, 'oauth handshake', { keyId, sealed }));
      } catch {
        return null; // not ours: as good as none
      }
    },
  };
  const session = createSession(options, host);

  return async function handshake(ctx, next) {
    const own = host.createContext(ctx.req, ctx.res);
    own.cookies.secure = secure; // behind a TLS proxy the connection that Koa sees is plain
    (ctx.state as { handshake: unknown }).handshake = own;
    await session(own, next);
  };
}
