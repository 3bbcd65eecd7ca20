import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import { refuse } from '../../errors.js';
import type { ReadSharedOptions } from '../../runtime/options.js';
import { ask } from '../../services/federation/ask.js';
import { beginHandshake } from '../../services/federation/handshake.js';
import type { Provider } from '../../services/federation/provider.js';
import { mayReturnTo, type ReturnRules } from '../../services/federation/return-to.js';
import type { Provision } from '../../services/federation/sign-in-by-identity.js';
import type { Handshake, InHandshake } from './handshake.js';

/** What the routes of `oauthRouter()` share. */
export interface OAuthShared extends ReadSharedOptions {
  readonly autoProvision: boolean;
  readonly provision: Provision;
  /** The providers that browsers are sent to. */
  readonly redirecting: ReadonlyMap<string, () => Promise<Provider>>;
}

/** Where the browser goes in the end; refused with 400 `validation_failed` unless that is a place of ours. */
export const returnTo = (rules: ReturnRules) => ({
  returnTo: Joi.string()
    .max(1_000)
    .custom((text: string, helpers) =>
      mayReturnTo(text, rules)
        ? text
        : helpers.message({ custom: 'must be a path of this application, or a URL of an allowed origin' }),
    ),
});

/** The provider that a path names, else 404 `not_found`. */
export function providerOf(ctx: ParameterizedContext, { redirecting }: OAuthShared): Promise<Provider> {
  const load = redirecting.get(String(ctx.params.provider));
  if (!load) throw refuse('not_found');
  return load();
}

/** Begins a handshake in this browser: the URL to open. */
export async function begin(
  ctx: ParameterizedContext<InHandshake>,
  shared: OAuthShared,
  { anew, ...more }: Pick<Handshake, 'returnTo' | 'linking'> & { readonly anew?: boolean | undefined },
): Promise<string> {
  const provider = await providerOf(ctx, shared);
  const { url, secrets } = await ask(() => beginHandshake(provider, { anew }));
  ctx.state.handshake.session = { provider: provider.name, secrets, ...more };
  ctx.set('Cache-Control', 'no-store');
  return url;
}
