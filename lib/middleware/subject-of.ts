import Joi from 'joi';
import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import { readSubject } from '../models/read-subject.js';
import { after } from '../runtime/after.js';
import { connectionOf } from '../runtime/connection.js';
import { type Subject, subjectSchema } from '../runtime/subject.js';
import { type MaybeSignedIn, signedIn } from './authenticate.js';
import type { MaybeInOrganization } from './organization.js';
import type { InTeam } from './team.js';
import { invalid } from './validation.js';

/**
 * Who a guard asks about: `'organization'`, `'team'`, `'user'`, or a function of ctx. Without it: the organization where
 * `organization()` is upstream and found one, else the user.
 */
export type SubjectChoice = Subject['type'] | ((ctx: ParameterizedContext) => Subject | Promise<Subject>);

export const subjectChoice = Joi.alternatives(Joi.valid('organization', 'team', 'user'), Joi.function());

type State = Partial<MaybeSignedIn> & Partial<MaybeInOrganization> & Partial<InTeam>;

/** The subject of a request, at once where no function has to find it; refuses where the middleware that would have found it is missing. */
export function subjectOf(
  ctx: ParameterizedContext,
  choice: SubjectChoice | undefined,
  connection?: Connection | undefined,
): Subject | Promise<Subject> {
  if (typeof choice === 'function')
    return after(awaited(choice(ctx)), (given) => readSubject(connectionOf(ctx, connection), checked(given)));
  const user = signedIn(ctx as { state: State });
  const { organization, team } = ctx.state as State;
  const type = choice ?? (organization ? 'organization' : 'user');
  if (type === 'user') return { type, id: user.id };
  const found = type === 'team' ? team : organization;
  if (found) return { type, id: found.id };
  if (found === undefined) {
    throw refuse('internal', { detail: `${type}() is missing before a guard whose subject is the ${type}` });
  }
  if (type === 'team') throw invalid([{ path: 'X-Team-Id', message: 'must name a team' }]);
  throw refuse('organization_required', { detail: 'Name an organization in X-Organization-Id' });
}

/** What an application's own function gives, which may be any thenable, such as a query of Mongoose's. */
const awaited = (given: Subject | PromiseLike<Subject>): Subject | Promise<Subject> =>
  typeof (given as Partial<PromiseLike<Subject>>)?.then === 'function'
    ? Promise.resolve(given)
    : (given as Subject);

/**
 * Refuses with 403 `permission_missing` when the request came by an API key that is for one organization, and is about its user or
 * another organization.
 */
export function requireReach(ctx: ParameterizedContext, { type, id }: Subject): void {
  const bound = (ctx.state as State).apiKey?.organizationId;
  const within = type === 'team' || (type === 'organization' && id === bound); // a team is of the organization that was found
  if (bound && !within) throw refuse('permission_missing', { detail: 'The API key is for one organization' });
}

function checked(subject: Subject): Subject {
  const { error } = subjectSchema.required().validate(subject);
  if (error)
    throw refuse('internal', { detail: `A subject function gave no { type, id }: ${error.message}` });
  return subject;
}
