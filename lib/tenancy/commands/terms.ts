import { beyondTenant } from '../needs-tenant.js';
import type { AnyModel, Plain, RawCollection } from '../registry.js';
import { type CommandOptions, commandOptions } from './command-options.js';
import type { Reach } from './own-pipeline.js';
import type { Referred } from './references.js';
import { isPlain, snapshotOf } from './snapshot.js';

/** What a bound collection lets through. */
export interface Terms {
  readonly raw: RawCollection;
  readonly model: AnyModel;
  /** Makes what every filter is and-ed with: what was sent may come to light again, in an error for example, and be changed there. */
  readonly own: () => Plain;
  /** Makes the tenant fields of a new document; null for system access, which may write any. */
  readonly inserted: (() => Plain) | null;
  /** The tenant fields that every document of the tenant has the same value in. */
  readonly fixed: readonly string[];
  /** All tenant fields. */
  readonly fields: readonly string[];
  /** True where texts must be compared letter by letter. */
  readonly exact: boolean;
  readonly reach: Reach;
  /** False: nothing is written. */
  readonly writable: boolean;
  /** Throws when the access is over. */
  readonly check: () => void;
  /** Throws unless what a write refers to is the tenant's. */
  readonly references: (referred: Referred, options: CommandOptions) => Promise<void>;
}

/** A filter that finds the tenant's documents only, whatever `given` says. What it says of the tenant itself is left out where it is true. */
export function ownFilter(own: Plain, given: unknown): Plain {
  const filter = snapshotOf(given, 'A filter');
  for (const [field, value] of Object.entries(own))
    if (field in filter && !isPlain(value) && String(filter[field]) === String(value)) delete filter[field];
  return { $and: [own, filter] };
}

/** The options of a command that compares. */
export function comparing({ exact, model }: Terms, options: unknown): CommandOptions {
  const given = commandOptions(options);
  if (!exact) return given;
  if (given.collation) throw beyondTenant(model.modelName, 'A collation');
  return { ...given, collation: { locale: 'simple' } }; // whatever that of the collection is
}
