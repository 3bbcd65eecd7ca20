import Joi from 'joi';

/** Who is asked about plans and quotas, and who a cached value belongs to. */
export interface Subject {
  readonly type: 'user' | 'organization' | 'team';
  readonly id: string;
}

export const subjectSchema = Joi.object({
  type: Joi.valid('user', 'organization', 'team').required(),
  id: Joi.string().required(),
});

/** The subject as one string, `type:id`; the type is one of ours, so that no id can be taken for another's. */
export const subjectKey = ({ type, id }: Subject): string => `${type}:${id}`;
