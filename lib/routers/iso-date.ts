import Joi from 'joi';

/** A day, or a time that says its offset from UTC: without one it would mean another time on every machine. */
const moment = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** A time as a client writes it. */
export const isoDate = Joi.any<Date>().custom((text: unknown, helpers) => {
  const parsed = typeof text === 'string' && moment.test(text) ? new Date(text) : null;
  if (parsed && !Number.isNaN(parsed.getTime())) return parsed;
  return helpers.message({ custom: 'must be a time in ISO 8601, such as 2030-01-31T12:00:00Z' });
});
