import Joi from 'joi';

/** Who is asked about plans and quotas, and who a cached value belongs to. An id of ours in capitals names the same. */
export interface Subject {
  readonly type: 'user' | 'organization' | 'team';
  readonly id: string;
}

export const subjectSchema = Joi.object({
  type: Joi.valid('user', 'organization', 'team').required(),
  id: Joi.string().required(),
});

/**
 * The same as the schema, for every consumption: a missing id would make one counter of all who have none, and one that is no text another
 * subject than the one it looks like.
 *
 * @throws {TypeError} when it is no subject
 */
export function checkSubject(subject: Subject): void {
  const { type, id } = subject ?? {};
  if (type !== 'user' && type !== 'organization' && type !== 'team')
    throw new TypeError(`subject.type must be user, organization or team, not ${type}`);
  if (typeof id !== 'string' || id === '')
    throw new TypeError(
      `subject.id must be a text that is not empty, not ${id === '' ? 'empty' : typeof id}`,
    );
}

/** The subject as one string, `type:id`; the type is one of ours, so that no id can be taken for another's. */
export const subjectKey = ({ type, id }: Subject): string => `${type}:${id}`;
