import type { Connection, Types } from 'mongoose';
import type { Bounds } from './bounds.js';
import type { AnyModel, By } from './registry.js';

/** Who a model is bound to: a tenant, or for system access nobody. */
export interface Access {
  readonly connection: Connection;
  /** Null: all organizations. */
  readonly organization: Types.ObjectId | null;
  /** Made anew at each call: an id that was handed out with a document can be changed in place. */
  readonly boundsOf: (model: AnyModel, by: By) => Bounds;
  /** Throws when the access is over. */
  readonly check: () => void;
  /** The models bound so far. */
  readonly bound: Map<object, AnyModel>;
}
