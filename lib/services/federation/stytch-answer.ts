import Joi from 'joi';

/** What Stytch says of a genuine session. */
export interface StytchAnswer {
  readonly member: {
    readonly email_address: string;
    readonly email_address_verified?: boolean | undefined;
    readonly name?: string | undefined;
  };
  readonly member_session: {
    readonly member_session_id: string;
    readonly member_id: string;
    readonly organization_id: string;
    readonly started_at: Date;
    readonly last_accessed_at: Date;
    readonly expires_at: Date;
    readonly authentication_factors: readonly { readonly type: string }[];
    readonly roles: readonly string[];
    readonly custom_claims: Readonly<Record<string, unknown>>;
  };
  /** `member_session` as it came. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const date = Joi.date().iso().required();

/** What Stytch may leave out it may also say to be null. */
const orNull = <T extends Joi.Schema>(schema: T): T => schema.empty(null) as T;

const answerSchema = Joi.object({
  member: Joi.object({
    email_address: Joi.string().required(),
    email_address_verified: orNull(Joi.boolean()),
    name: orNull(Joi.string().allow('')),
  })
    .unknown()
    .required(),
  member_session: Joi.object({
    member_session_id: Joi.string().required(),
    member_id: Joi.string().required(),
    organization_id: Joi.string().required(),
    started_at: date,
    last_accessed_at: date,
    expires_at: date,
    authentication_factors: orNull(
      Joi.array().items(Joi.object({ type: Joi.string().required() }).unknown()),
    ).default([]),
    roles: orNull(Joi.array().items(Joi.string())).default([]),
    custom_claims: orNull(Joi.object()).default({}),
  })
    .unknown()
    .required(),
}).unknown();

/**
 * Reads what Stytch answered with 200.
 *
 * @throws {Error} of a status and a type, as the SDK's errors have, when that is no session: then nobody is let in
 */
export function readAnswer(answer: unknown): StytchAnswer {
  const { value, error } = answerSchema.validate(answer);
  if (error) throw Object.assign(new Error('unreadable'), { status_code: 200, error_type: 'unreadable' });
  return { ...value, raw: (answer as { member_session: object }).member_session };
}
