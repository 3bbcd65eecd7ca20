import { setTimeout } from 'node:timers';
import { isTollgateError, refuse } from '../../errors.js';

/** Milliseconds that a provider may take for one answer, and for all that a handshake asks of it. */
export const patience = 5_000;
const wholePatience = 10_000;

/** Bytes of an answer; no profile or discovery document comes near it. */
const longest = 200_000;

/**
 * Runs `work` with a provider. Whatever goes wrong, or takes longer than 10 s, is the provider's failure.
 *
 * @throws {TollgateError} `identity_provider_unavailable` (503)
 */
export async function ask<T>(work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), wholePatience);
  });
  try {
    return await Promise.race([work(), bound]);
  } catch (cause) {
    throw isTollgateError(cause) ? cause : refuse('identity_provider_unavailable', { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** The JSON at a URL of a provider, as the bearer of `accessToken`. */
export async function jsonAt(url: string, accessToken?: string): Promise<unknown> {
  const authorization = accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` };
  const headers = { Accept: 'application/json', 'User-Agent': 'koa-tollgate', ...authorization };
  const answer = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(patience) });
  if (!answer.ok) throw new Error(`${new URL(url).origin} answered ${answer.status}`);
  return JSON.parse(await textOf(answer));
}

/** The body, of which no more is read than may be there. */
async function textOf({ body, url }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > longest) throw new Error(`${new URL(url).origin} answered with more than ${longest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** `value` as a record of unknowns; what a provider sends may be anything. */
export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
