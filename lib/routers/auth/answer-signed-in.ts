import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { clearCookie, readCookie, setCookie } from '../../runtime/cookies.js';
import { deviceOf, withDevice } from '../../runtime/known-devices.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { SignedInSession } from '../../services/sessions/start-session.js';

/** What the body of every route that signs in may say: how the refresh token is to come. */
export const delivery = { tokenDelivery: Joi.valid('cookie', 'body') as Joi.AnySchema<'cookie' | 'body'> };

const year = 31_536_000;

/** Ends every sign-in: the tokens, and in a browser the cookie by which that is known from now on. */
export function answerSignedIn(
  ctx: ParameterizedContext,
  signedIn: SignedInSession,
  tokenDelivery: 'cookie' | 'body' | undefined,
  shared: ReadSharedOptions,
): void {
  answerTokens(ctx, signedIn, tokenDelivery, shared);
  if (tokenDelivery !== 'body') rememberDevice(ctx, signedIn.user.email, shared);
}

/** `{ user, accessToken, expiresIn }` with both cookies; for a client without cookies the refresh token in their stead. */
export function answerTokens(
  ctx: ParameterizedContext,
  signedIn: SignedInSession,
  tokenDelivery: 'cookie' | 'body' | undefined,
  shared: ReadSharedOptions,
): void {
  const { user, accessToken, expiresIn, refreshToken } = signedIn;
  ctx.set('Cache-Control', 'no-store');
  if (tokenDelivery !== 'body') setSessionCookies(ctx, signedIn, shared);
  ctx.body = {
    user: shared.showUser(user),
    accessToken,
    expiresIn,
    ...(tokenDelivery === 'body' && { refreshToken }),
  };
}

/** Both cookies, of a session that was born for cookies. */
export function setSessionCookies(
  ctx: ParameterizedContext,
  { accessToken, expiresIn, refreshToken }: SignedInSession,
  { cookies, refreshTtl }: ReadSharedOptions,
): void {
  setCookie(ctx, 'access_token', accessToken, expiresIn, cookies);
  setCookie(ctx, 'refresh_token', refreshToken, refreshTtl, cookies);
}

/** Makes a browser forget its tokens. */
export function clearSessionCookies(ctx: ParameterizedContext, { cookies }: ReadSharedOptions): void {
  for (const cookie of ['access_token', 'refresh_token'] as const) clearCookie(ctx, cookie, cookies);
}

/** Lets a browser prove later that this person has signed in with it, so that strangers cannot use up its guesses. */
export function rememberDevice(
  ctx: ParameterizedContext,
  email: string,
  { cookies, keyring }: ReadSharedOptions,
): void {
  const known = readCookie(ctx, 'device', cookies);
  if (!deviceOf(known, email, keyring))
    setCookie(ctx, 'device', withDevice(known, email, keyring), year, cookies);
}
