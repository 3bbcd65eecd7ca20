import type { Schema } from 'mongoose';
import type { AnyModel } from './registry.js';

/**
 * Declares that a schema's documents are everybody's, such as countries or currencies: a tenant's documents may refer to them, and
 * populate and `$lookup` reach them, for reading.
 *
 * @example countrySchema.plugin(declareGlobal);
 */
export function declareGlobal(_schema: Schema): void {}

/** True for a model of a schema that was declared global; a clone keeps its plugins. */
export function isGlobal({ schema }: AnyModel): boolean {
  const { plugins } = schema as unknown as { plugins: readonly { fn: unknown }[] }; // public, but untyped
  return plugins.some(({ fn }) => fn === declareGlobal);
}
