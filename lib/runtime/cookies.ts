import type { IncomingHttpHeaders } from 'node:http';
import type { ParameterizedContext } from 'koa';

export interface CookieOptions {
  /** Default true. False only without TLS, in development: production refuses it. */
  readonly secure: boolean;
  readonly sameSite: 'lax' | 'strict' | 'none';
}

/** The cookies that koa-tollgate sets. */
export type CookieName = 'access_token' | 'refresh_token' | 'device' | 'sign_up';

/** A `__Host-` cookie cannot be set by a subdomain or over plain HTTP (RFC 6265bis); without TLS the name is plain. */
export const cookieName = (name: CookieName, { secure }: CookieOptions): string =>
  secure ? `__Host-${name}` : name;

export function readCookie(
  ctx: ParameterizedContext,
  name: CookieName,
  options: CookieOptions,
): string | undefined {
  return cookieIn(ctx.req.headers, cookieName(name, options));
}

/** The value of a cookie as it was sent, of several of one name the first. */
export function cookieIn({ cookie }: IncomingHttpHeaders, name: string): string | undefined {
  for (const pair of cookie?.split(';') ?? []) {
    const [key = '', ...value] = pair.split('=');
    if (key.trim() === name)
      return value
        .join('=')
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}

/** Sets the cookie for `maxAge` seconds. */
export function setCookie(
  ctx: ParameterizedContext,
  name: CookieName,
  value: string,
  maxAge: number,
  options: CookieOptions,
): void {
  write(ctx, name, value, maxAge * 1000, options);
}

export function clearCookie(ctx: ParameterizedContext, name: CookieName, options: CookieOptions): void {
  write(ctx, name, '', 0, options);
}

function write(
  ctx: ParameterizedContext,
  name: CookieName,
  value: string,
  maxAge: number,
  options: CookieOptions,
): void {
  const { secure, sameSite } = options;
  const { secure: before } = ctx.cookies;
  ctx.cookies.secure = secure; // behind a TLS proxy the connection that Koa sees is plain
  const expires = new Date(maxAge > 0 ? Date.now() + maxAge : 0);
  ctx.cookies.set(cookieName(name, options), value, {
    expires,
    httpOnly: true,
    overwrite: true,
    path: '/',
    sameSite,
    secure,
    signed: false, // what it holds is signed; `app.keys` are the application's
  });
  ctx.cookies.secure = before;
}
