import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { setCookie } from '../../runtime/cookies.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import type { SignedInSession } from '../../services/sessions/start-session.js';

/** What the body of every route that signs in may say: how the refresh token is to come. */
export const delivery = { tokenDelivery: Joi.valid('cookie', 'body') as Joi.AnySchema<'cookie' | 'body'> };

/** `{ user, accessToken, expiresIn }` with both cookies; for a client without cookies the refresh token in their stead. */
export function answerSignedIn(
  ctx: ParameterizedContext,
  { user, accessToken, expiresIn, refreshToken }: SignedInSession,
  tokenDelivery: 'cookie' | 'body' | undefined,
  { cookies, refreshTtl }: ReadSharedOptions,
): void {
  ctx.set('Cache-Control', 'no-store');
  if (tokenDelivery === 'body') {
    ctx.body = { user, accessToken, expiresIn, refreshToken };
    return;
  }
  setCookie(ctx, 'access_token', accessToken, expiresIn, cookies);
  setCookie(ctx, 'refresh_token', refreshToken, refreshTtl, cookies);
  ctx.body = { user, accessToken, expiresIn };
}
