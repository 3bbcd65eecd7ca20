import type { Connection } from 'mongoose';
import { type ErrorCode, isTollgateError, refuse, type TollgateError } from '../../errors.js';
import { after } from '../../runtime/after.js';
import type { OriginRules } from '../require-same-origin.js';
import type { Presented } from './presented.js';
import type { CredentialKind, SignedIn } from './signed-in.js';

/** A valid credential. */
export interface Found {
  readonly state: SignedIn;
  /** Whether browsers send it unasked, as they do cookies: then a request that changes something must come from our own pages. */
  readonly ambient: boolean;
  /** What remains to be done when the request goes ahead by this credential, such as counting a use; it may refuse. */
  readonly claim?: (() => Promise<SignedIn>) | undefined;
}

/**
 * Reads one kind of credential, at once where it is remembered: undefined where the request presents none. An invalid one is refused,
 * which counts only when no other credential is valid. `found` are those that the readers before it have found.
 */
export type CredentialReader = (
  presented: Presented,
  connection: Connection,
  found: readonly Found[],
) => Found | Promise<Found> | undefined;

export interface CredentialRules extends OriginRules {
  readonly accept: readonly CredentialKind[];
  readonly optional: boolean;
}

/**
 * The valid credential of a request, the first that a reader finds and that is accepted; null where none is needed. `sameOrigin` refuses
 * what a page of somebody else's may have sent, and is asked where a browser sends the credential unasked.
 */
export function credentialOf(
  presented: Presented,
  connection: Connection,
  readers: readonly CredentialReader[],
  rules: CredentialRules,
  sameOrigin: () => void,
): SignedIn | null | Promise<SignedIn | null> {
  return after(readAll(presented, connection, readers), (read) => choose(read, rules, sameOrigin));
}

interface Read {
  readonly found: Found[];
  readonly refusals: TollgateError[];
}

/** What the readers from the one of number `next` on make of a request, one after the other. */
function readAll(
  presented: Presented,
  connection: Connection,
  readers: readonly CredentialReader[],
  all: Read = { found: [], refusals: [] },
  next = 0,
): Read | Promise<Read> {
  const { found, refusals } = all;
  const refused = (error: unknown) => void refusals.push(refusalOf(error));
  for (let index = next; index < readers.length; index += 1) {
    try {
      const one = readers[index]?.(presented, connection, found);
      if (one instanceof Promise) {
        const goOn = () => readAll(presented, connection, readers, all, index + 1);
        return one.then((it) => void found.push(it), refused).then(goOn);
      }
      if (one) found.push(one);
    } catch (error) {
      refused(error);
    }
  }
  return all;
}

function choose(
  { found, refusals }: Read,
  rules: CredentialRules,
  sameOrigin: () => void,
): SignedIn | null | Promise<SignedIn | null> {
  const [first] = found;
  if (!first) return nobody(refusals, rules);
  if (found.some(({ ambient }) => ambient)) sameOrigin();
  if (found.length > 1 && found.some((other) => contradict(first, other)))
    throw refuse('credentials_conflict');
  const chosen = found.find(({ state }) => rules.accept.includes(state.credential));
  if (!chosen) throw unanswered(refusals) ?? notAllowed(first.state.credential, rules.accept);
  if (!chosen.claim) return chosen.state;
  return chosen.claim().catch((error: unknown) => nobody([refusalOf(error)], rules));
}

const contradict = ({ state: one }: Found, { state: other }: Found): boolean =>
  one.user.id !== other.user.id || (one.apiKey === null) !== (other.apiKey === null);

/** The refusal of a valid credential of a kind that is not taken. */
export const notAllowed = (kind: CredentialKind, accept: readonly CredentialKind[]): TollgateError =>
  refuse('credential_not_allowed', {
    detail: `A credential of the kind ${kind} is not accepted here, but ${accept.join(' or ')} is`,
  });

/** What a credential is refused by; that the database does not answer is no refusal, and ends the request. */
function refusalOf(error: unknown): TollgateError {
  if (isTollgateError(error) && (error.status < 500 || isUnanswered(error))) return error;
  throw error;
}

/** Nobody knows whether the credential is valid: that counts where no other is, also where none is needed. */
const isUnanswered = ({ code }: TollgateError): boolean =>
  code === 'identity_provider_unavailable' || code === 'rate_limited';

const unanswered = (refusals: readonly TollgateError[]) => refusals.find(isUnanswered);

function nobody(refusals: readonly TollgateError[], { optional }: CredentialRules): null {
  const grave = unanswered(refusals) ?? refusals.find(({ code }) => code === 'credential_not_allowed');
  if (grave) throw grave;
  if (optional) return null;
  throw gravest(refusals);
}

/** What says most about why the request was refused goes first. */
const byGravity: readonly ErrorCode[] = [
  'user_inactive',
  'ip_not_allowed',
  'session_revoked',
  'email_unverified',
  'email_taken',
];

function gravest(refusals: readonly TollgateError[]): TollgateError {
  const grave = byGravity.flatMap((code) => refusals.find((refusal) => refusal.code === code) ?? []);
  return grave[0] ?? refusals[0] ?? refuse('token_missing');
}
